"""How surfaces look: colours and finishes, prints, marks, relief and gloss, wear."""
