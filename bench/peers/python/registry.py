"""The registry of ops of a peer, and how it says that it has none."""

OPS = {}


class Unsupported(Exception):
    """The library has nothing that does the same."""


def require(condition, reason):
    if not condition:
        raise Unsupported(reason)


def op(name, entry, call):
    """Registers what makes the call to time for an op's entry; `call` names what users of the library would write."""

    def register(make):
        OPS[name, entry] = (call, make)
        return make

    return register


def policy_of(case):
    """What a problem of `augment` draws, where it is of the usual: a window, flips, rotation, three colours and a box."""
    policy, options = case["policy"], case["options"]
    require(policy["crop"] in ("Window", "Resized") and policy["automatic"] is None, "written for windows without a list of ops")
    require(policy["crop"] == "Resized" or policy["rotation"] == {"low": 0, "high": 0}, "written for windows that are not turned")
    still = {"shiftX": 0, "shiftY": 0, "shearX": 0, "shearY": 0, "scale": 1, "hue": 0}
    require(all(policy[name] == {"low": value, "high": value} for name, value in still.items()), "written for rotations alone")
    chances = ("verticalFlip", "posterize", "solarize", "sharpness", "autocontrast", "equalize")
    require(not any(policy[name] for name in chances) and not policy["shufflesColors"], "written for brightness, contrast, saturation")
    plain = {"interpolation": "Bilinear", "border": "Constant", "fill": 0, "erased": 0, "layout": "ChannelsFirst", "outputLayout": None}
    require(all(options[name] == value for name, value in plain.items()), "written for planes with zeros around them")
    return policy
