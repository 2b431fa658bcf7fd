from collections.abc import Mapping

from torch import Tensor

from mmdisco.errors import InputError
from .efficientnet import EFFICIENTNET_B0, EFFICIENTNET_B1
from .mobilenet_v3 import MOBILENET_V3
from .naming import Naming, to_theirs
from .resnet import RESNET
from .vit import VIT
from .xcit import XCIT

# How libraries name the tensors of each network
NAMINGS_OF: dict[str, tuple[Naming, ...]] = {
    **dict.fromkeys(
        ('r50', 'r101', 'r152', 'r50w2', 'swavr50', 'selar50', 'dcr50', 'r18', 'r34'),
        RESNET,
    ),
    'effb0': EFFICIENTNET_B0,
    'effb1': EFFICIENTNET_B1,
    'mbv3': MOBILENET_V3,
    **dict.fromkeys(('vits', 'vitt'), VIT),
    **dict.fromkeys(('xcits', 'xcitt'), XCIT),
}
NAMINGS = tuple({id(n): n for of in NAMINGS_OF.values() for n in of}.values())
VARIANTS = ('auto', 'symmetric', 'tf')


def rename_to(
    library: str, arch: str, state_dict: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Rename a backbone to the names of another library.

    Args:
        library (str): 'timm' or 'torchvision'.
        arch (str): Name of the network, as 'mbv3'.
        state_dict (dict): The backbone's tensors, without a prefix.

    Returns:
        dict: Its tensors by the library's keys, the classifier excepted.

    Raises:
        InputError: If the library has no such network.
    """
    for naming in NAMINGS_OF[arch]:
        if naming.library == library:
            return to_theirs(naming, state_dict)
    known = ', '.join(naming.library for naming in NAMINGS_OF[arch])
    raise InputError(f"{library} has no network like '{arch}': {known} has")


def known_overrides(meta: Mapping, naming: Naming | None) -> Mapping:
    """What a converted file says that its backbone needs.

    Only what the tables have is taken, as a config could run anything.

    Args:
        meta (dict): What the file says of itself.
        naming (Naming, optional): That explains the backbone; None if none
            does.

    Raises:
        InputError: If it asks for other settings.
    """
    asked = meta.get('overrides')
    if not asked:
        return {}
    networks = [of for of in NAMINGS_OF.values() if naming in of]
    known = [
        variant.overrides
        for of in networks or [NAMINGS]
        for one in of
        for variant in one.variants
    ]
    if asked not in known:
        raise InputError(
            f'it asks for settings that are not known: {asked}. '
            'If it was converted by an earlier version, convert '
            'the published file again'
        )
    return asked
