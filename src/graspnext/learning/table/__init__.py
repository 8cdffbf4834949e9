"""The paper's table: protocols, the stages that make it, and what is written."""
