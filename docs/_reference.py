"""The reference: members that come from scikit-learn, and links to names of other rooms.

A Sphinx extension. Class pages list inherited members too. Those that scikit-learn writes refer to
pages of its own manual, which cannot be looked up without a network: such a reference becomes the
plain name. Methods `set_..._request`, which scikit-learn makes from the arguments of each method
for its metadata routing, are left out: half a dozen of one text on each page. And a docstring names
a class or function by its last part, whatever room documents it: the name becomes a link if there
is one such class or function.
"""

import re

from sphinx.util.nodes import make_refnode

ROLE = re.compile(r":(?:ref|term|class|func|meth|mod|doc):`(?:([^`<]+?)\s*<[^`>]+>|~?([^`]+))`")


def is_request(name: str) -> bool:
    """Return whether a method sets which metadata scikit-learn routes to another method."""
    return name.startswith("set_") and name.endswith("_request")


def skip_requests(app, what, name, obj, skip, options) -> bool | None:
    """Leave out the methods that scikit-learn makes for its metadata routing."""
    return True if is_request(name) else None


def unlink(app, what, name, obj, options, lines) -> None:
    """Turn references to scikit-learn's manual into plain names."""
    if (getattr(obj, "__module__", None) or "").startswith("sklearn."):
        lines[:] = ROLE.sub(lambda match: match[1] or match[2], "\n".join(lines)).split("\n")


def find_elsewhere(app, env, node, content):
    """Link a name that the room at hand does not have to the one place that documents it.

    `Batch` and `hessianfree.Batch` both lead to `hessianfree.batch.Batch`.
    """
    package, _, name = node.get("reftarget", "").rpartition(".")
    if node.get("refdomain") != "py" or not name or package not in ("", "reservoir", "hessianfree"):
        return None
    domain = env.get_domain("py")
    found = [
        full
        for full, entry in domain.objects.items()
        if full.endswith(f".{name}")
        and full.startswith(package)
        and entry.objtype in ("class", "function", "exception")
        and not entry.aliased
    ]
    if len(found) != 1:
        return None
    page = domain.objects[found[0]].docname
    return make_refnode(app.builder, node["refdoc"], page, found[0], content, found[0])


def setup(app) -> dict[str, bool]:
    """Register the extension."""
    app.connect("autodoc-skip-member", skip_requests)
    app.connect("autodoc-process-docstring", unlink, priority=400)
    app.connect("missing-reference", find_elsewhere)
    return {"parallel_read_safe": True}
