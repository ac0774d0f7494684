"""skerry label NAME... -o FILE: labels to print; skerry label --read TEXT: what one says.

A PDF has 24 labels a page, 63.5 by 33.9 mm on A4, as such sheets are sold; a PNG has the code of
one device.
"""

import argparse
import io
import json
from pathlib import Path

from skerry_hub import enrolment
from skerry_hub.bulk.label_text import LabelText, parse
from skerry_hub.config import Config
from skerry_hub.errors import HubError
from skerry_hub.store import Device, named

_WIDTH, _HEIGHT, _COLUMNS, _ROWS = 63.5, 33.9, 3, 8  # mm
_LEFT, _TOP, _GAP, _CODE = 7.2, 12.9, 2.5, 27.0


def run(config: Config, args: argparse.Namespace) -> int:
    """Write labels, or read one and compare it with the hub."""
    with enrolment.opened(config) as hub:
        if args.read is not None:
            return _read(config, hub, args.read)
        devices = [named(hub.store, each) for each in args.name]
    if not devices or args.output is None:
        raise HubError("name devices and a file: skerry label NAME... -o labels.pdf")
    texts = [LabelText(each.name, hub.id, each.fingerprint) for each in devices]
    path = Path(args.output)
    if path.suffix == ".pdf":
        content = _pdf(devices, texts)
    elif path.suffix == ".png" and len(texts) == 1:
        content = _png(texts[0])
    else:
        raise HubError(f"{path}: end it in .pdf, or in .png for one label")
    path.write_bytes(content)
    said = [
        {"name": each.name, "text": str(text)} for each, text in zip(devices, texts, strict=True)
    ]
    print(json.dumps(said) if config.json else f"{len(said)} labels in {path}")
    return 0


def _read(config: Config, hub: enrolment.Hub, text: str) -> int:
    said = parse(text)
    if said.hub != hub.id:
        raise HubError(f"{said.id} belongs to hub {said.hub}, this is {hub.id}: ask that one")
    device = named(hub.store, said.id)
    if device.fingerprint != said.fingerprint:
        raise HubError(
            f"{said.id} has key {device.fingerprint}, its label says {said.fingerprint}: it was"
            " flashed anew, print another label"
        )
    told = {**vars(said), "state": device.state, "label": device.label}
    if config.json:
        print(json.dumps(told))
    else:
        for key, value in told.items():
            print(f"{key:12} {value}")
    return 0


def svg(text: LabelText) -> bytes:
    """Return the code of a label as a picture that scales."""
    import segno

    out = io.BytesIO()
    segno.make(str(text), error="q", micro=False).save(
        out, kind="svg", xmldecl=False, svgns=True, omitsize=True
    )
    return out.getvalue()


def _png(text: LabelText, scale: int = 8) -> bytes:
    import segno

    out = io.BytesIO()
    segno.make(str(text), error="q", micro=False).save(out, kind="png", scale=scale)
    return out.getvalue()


def _pdf(devices: list[Device], texts: list[LabelText]) -> bytes:
    from fpdf import FPDF

    pdf = FPDF(unit="mm", format="A4")
    pdf.set_auto_page_break(False)
    for at, (device, text) in enumerate(zip(devices, texts, strict=True)):
        row, column = divmod(at % (_COLUMNS * _ROWS), _COLUMNS)
        if row == column == 0:
            pdf.add_page()
        x = _LEFT + column * (_WIDTH + _GAP)
        y = _TOP + row * _HEIGHT
        pdf.image(io.BytesIO(_png(text)), x + 2, y + 3, _CODE, _CODE)
        lines = [(9, device.name), (7, device.label), (7, device.fingerprint), (5, str(text))]
        pdf.set_xy(x + _CODE + 3, y + 4)
        for size, line in lines:
            pdf.set_font("helvetica", size=size)
            shown = line.encode("latin-1", "replace").decode("latin-1")  # what the font has
            pdf.set_x(x + _CODE + 3)
            pdf.multi_cell(_WIDTH - _CODE - 5, size * 0.45, shown, new_x="LMARGIN", new_y="NEXT")
    return bytes(pdf.output())
