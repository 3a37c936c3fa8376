"""`numlstm share`: write a copy of a model to give away."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from .shared.options import Overwrite, Weights, stderr


def share(
    weights: Weights,
    output: Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="File to write the copy to.")],
    title: Annotated[str, typer.Option(help="What the model was trained on.", show_default=False)] = "",
    author: Annotated[str, typer.Option(help="Who wrote that text.", show_default=False)] = "",
    licence: Annotated[str, typer.Option(help="Licence of the model, such as CC0-1.0.", show_default=False)] = "",
    full: Annotated[bool, typer.Option("--full", help="Keep all 32 bits of each weight: twice the size.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Write a copy of a model to give away.

    The copy contains the best weights as 16-bit floats, the vocabulary and how
    the model was trained. It omits what is only needed to resume training, and
    the folders that the texts were in. It is a sixth of the size, or smaller.

    Example:

    [bold]numlstm share weights.npz -o grandfather.npz --title "My grandfather's letters"[/bold]
    """
    from ..network import weights_file as files
    from ..network.sharing import to_share
    from ..storage import remote
    from ..storage.atomic import OVERWRITE_ADVICE
    from .shared.network_summary import checked_record

    about = {"title": title, "author": author, "licence": licence}
    trained = files.load(weights)
    with checked_record(weights):
        file = to_share(trained, {name: text for name, text in about.items() if text})
    files.check_output(output, overwrite=overwrite, advice=OVERWRITE_ADVICE)
    files.save(output, file, half=not full)
    size = remote.version(output)[0] if remote.is_remote(output) else os.path.getsize(output)
    stderr().print(f"{output}: " + ("written" if size is None else f"{size:,} bytes"), markup=False)
