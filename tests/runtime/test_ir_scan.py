"""OpenVINO's own writer passes; whatever else its format can say is refused before OpenVINO sees it."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

from graspnext.runtime.safety.ir_scan import MAX_ATTRIBUTE, check_ir
from graspnext.runtime.safety.model_limits import RefusedModelError

small_model = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("small_model.py"))))


@pytest.fixture(scope="module")
def ir() -> tuple[str, bytes]:
    xml, constants = small_model.small_ir()
    return xml.decode(), constants


def test_a_written_model_passes(ir: tuple[str, bytes]) -> None:
    xml, constants = ir
    check_ir(xml.encode(), constants, small_model.OUTPUTS)
    with pytest.raises(RefusedModelError, match="no output pose"):
        check_ir(xml.encode(), constants, ["scores", "pose"])


@pytest.mark.parametrize("number", [b"\0\0\x80\x7f", b"\0\0\x80\xff", b"\1\0\xc0\x7f"])
def test_infinity_and_nan_are_refused(ir: tuple[str, bytes], number: bytes) -> None:
    xml, constants = ir
    with pytest.raises(RefusedModelError, match="'anchors' holds infinity or NaN"):
        check_ir(xml.encode(), constants[:8] + number + constants[12:], ())


HEAD = '<?xml version="1.0"?>'
EXPANDING = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (HEAD, f'{HEAD}<!DOCTYPE net SYSTEM "file:///etc/passwd">', "declarations, entities"),
        (HEAD, f'{HEAD}<!DOCTYPE net [<!ENTITY e0 "x">{EXPANDING}]>', "declarations, entities"),
        (HEAD, f"{HEAD}<!-- no -->", "comments"),
        (HEAD, f"{HEAD}<?go there?>", "instructions"),
        (HEAD, "<?xml version='1.0' encoding='utf-16'?>", "not of version 1.0 in UTF-8"),
        (HEAD, "\ufeff" + HEAD, "not an OpenVINO model"),
        ("<layers>", "<layers>&x;", "not XML"),
        ("<layers>", "<layers><![CDATA[x]]>", "comments"),
        ("<layers>", "<layers>\0", "not XML"),
        ("<layers>", "<layers>text", "text in layers"),
        ("</net>", "", "not XML"),
        ("</net>", "<layers/></net>", "a second element 'layers'"),
        ("</net>", "<custom/></net>", "element 'custom' in 'net' is not allowed"),
        ('version="11"', 'version="12"', "version '12' of the file"),
        ("<input>", "<body><layers/></body><input>", "element 'body' in 'layer' is not allowed"),
        ('type="ReLU" version="opset1"', 'type="ReLU" version="extension"', "'ReLU' of 'extension'"),
        ('type="ReLU" version="opset1"', 'type="ReLU" version="opset17"', "'ReLU' of 'opset17'"),
        ('type="ReLU" version="opset1"', 'type="TensorIterator" version="opset1"', "'TensorIterator' of 'opset1'"),
        ('type="ReLU" version="opset1"', 'type="ReadValue" version="opset6"', "'ReadValue'"),
        ('type="ReLU" version="opset1"', 'type="Parameter" version="opset1"', "2 inputs"),
        ('offset="0" size="1024"', 'offset="2200" size="1024"', "ends at byte 3224 of 3145"),
        ('offset="0" size="1024"', 'offset="-1" size="1024"', "has the offset '-1'"),
        ('offset="0" size="1024"', 'offset="0x0" size="1024"', "has the offset"),
        ('offset="0" size="1024"', 'offset="0" size="1020"', "1020 bytes where its shape says 256 elements"),
        ('offset="0" size="1024"', 'offset="18446744073709551615" size="1024"', "has the offset"),
        ('shape="64, 4"', 'shape="64, 4, 2147483648"', "where its shape says"),
        ('shape="64, 4"', 'shape="64, -4"', "has the shape"),
        ('element_type="f32" shape="64, 4"', 'element_type="string" shape="64, 4"', "elements of type 'string'"),
        ('<layer id="1" ', '<layer id="0" ', "the number '0', or two have it"),
        ('<layer id="1" ', '<layer id="+1" ', r"the number '\+1'"),
        ('from-layer="1" from-port="0"', 'from-layer="1" from-port="7"', "no such output"),
        ('from-layer="1" from-port="0"', 'from-layer="999" from-port="0"', "no such output"),
        ("<data ", f'<data x="{"1" * (MAX_ATTRIBUTE + 1)}" ', "more than the 20000 allowed|not XML"),
    ],
)
def test_what_bundles_never_hold_is_refused(ir: tuple[str, bytes], old: str, new: str, said: str) -> None:
    xml, constants = ir
    assert old in xml
    with pytest.raises(RefusedModelError, match=said):
        check_ir(xml.replace(old, new, 1).encode(), constants, small_model.OUTPUTS)


def layers(edges: str) -> bytes:
    """A model of an input and two layers that add, with these edges."""
    ports = '<port id="0"/><port id="1"/>'
    add = '<layer id="{0}" name="a{0}" type="Add" version="opset1"><input>{1}</input><output><port id="2"/></output>'
    image = '<layer id="0" name="image" type="Parameter" version="opset1"><output><port id="0"/></output></layer>'
    both = "".join(add.format(number, ports) + "</layer>" for number in (1, 2))
    return f'<net version="11"><layers>{image}{both}</layers><edges>{edges}</edges></net>'.encode()


def edge(source: int, source_port: int, target: int, target_port: int) -> str:
    text = '<edge from-layer="{}" from-port="{}" to-layer="{}" to-port="{}"/>'
    return text.format(source, source_port, target, target_port)


def test_wiring_is_checked() -> None:
    straight = [edge(0, 0, 1, 0), edge(0, 0, 1, 1), edge(1, 2, 2, 0), edge(0, 0, 2, 1)]
    check_ir(layers("".join(straight)), b"", ())
    for edges, said in (
        (straight[:3], "is not fed"),
        ([*straight, edge(0, 0, 2, 1)], "takes none"),
        ([*straight[:3], edge(0, 0, 2, 7)], "takes none"),
        ([edge(0, 0, 1, 0), edge(2, 2, 1, 1), *straight[2:]], "in a circle"),
    ):
        with pytest.raises(RefusedModelError, match=said):
            check_ir(layers("".join(edges)), b"", ())
