"""What class an expression is of, as far as annotations tell: enough to say who writes a variable.

The package is annotated throughout (mypy holds it to that), so the types of parameters, attributes
and results can be read off the source. What is left (a local name of an unusual origin) is told by
the name of the variable, where only one class has a slot of that name.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.house.source import Source

WRAPPERS = {"Final", "ClassVar", "Annotated", "Optional", "type", "Type"}
ELEMENTS = {
    "list", "List", "deque", "set", "frozenset", "tuple", "Iterable", "Iterator", "Sequence",
    "Collection", "MutableSequence", "Generator", "WeakSet",
}  # fmt: skip
MAPPINGS = {
    "dict", "Mapping", "MutableMapping", "defaultdict", "OrderedDict", "WeakValueDictionary",
}  # fmt: skip

Annotation = tuple[ast.expr, str]  # with the module whose names it is written in


@dataclass
class Known:
    """The classes that a value may be of, and those of its elements."""

    classes: frozenset[str] = frozenset()
    elements: Known | None = None

    def __or__(self, other: Known) -> Known:
        return Known(self.classes | other.classes, self.elements or other.elements)


NOTHING = Known()


@dataclass
class Class:
    """A class of the package."""

    name: str  # with its module: "tcp.tcb.Tcb"
    module: str
    bases: list[ast.expr]
    slots: set[str] = field(default_factory=set)
    attributes: dict[str, Annotation] = field(default_factory=dict)
    values: dict[str, tuple[ast.expr, ast.FunctionDef | ast.AsyncFunctionDef]] = field(
        default_factory=dict
    )
    results: dict[str, Annotation] = field(default_factory=dict)


class Types:
    """All classes and functions of these sources, and what each module calls them."""

    def __init__(self, sources: list[Source]) -> None:
        self.classes: dict[str, Class] = {}
        self.results: dict[str, Annotation] = {}  # of functions
        self.names: dict[str, dict[str, str]] = {}  # module -> name -> "module.thing" or module
        self.constants: dict[str, Annotation] = {}
        self.seen: dict[tuple[str, str], Known] = {}  # (class, attribute) -> what it is
        modules = {source.module for source in sources}
        for source in sources:
            self.names[source.module] = dict(_names(source, modules))
            self._read(source)
        self.owners: dict[str, set[str]] = {}
        for known in self.classes.values():
            for slot in known.slots:
                self.owners.setdefault(slot, set()).add(known.name)

    def _read(self, source: Source) -> None:
        for node in source.tree.body:
            for statement in _flat(node):
                if isinstance(statement, ast.ClassDef):
                    self._read_class(source.module, statement)
                elif isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    if statement.returns is not None:
                        name = f"{source.module}.{statement.name}"
                        self.results[name] = (statement.returns, source.module)
                elif isinstance(statement, ast.AnnAssign):
                    if isinstance(statement.target, ast.Name):
                        name = f"{source.module}.{statement.target.id}"
                        self.constants[name] = (statement.annotation, source.module)

    def _read_class(self, module: str, node: ast.ClassDef) -> None:
        known = Class(f"{module}.{node.name}", module, node.bases)
        self.classes[known.name] = known
        for top in node.body:
            for item in _flat(top):
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                    known.attributes[item.target.id] = (item.annotation, module)
                elif isinstance(item, ast.Assign) and _is_named(item.targets, "__slots__"):
                    known.slots |= set(_strings(item.value))
                    if "__annotations__" in ast.unparse(item.value):  # each declared variable
                        known.slots |= set(known.attributes)
                elif isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    if item.returns is not None:
                        known.results[item.name] = (item.returns, module)
                    if any(_last(decorator) in ("property", "cached_property")
                           for decorator in item.decorator_list) and item.returns is not None:
                        known.attributes[item.name] = (item.returns, module)
                    self._read_method(known, item)

    def _read_method(
        self, known: Class, method: ast.FunctionDef | ast.AsyncFunctionDef
    ) -> None:
        for node in ast.walk(method):
            if isinstance(node, ast.AnnAssign) and _is_of_self(node.target):
                assert isinstance(node.target, ast.Attribute)
                known.attributes.setdefault(node.target.attr, (node.annotation, known.module))
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    if _is_of_self(target):
                        assert isinstance(target, ast.Attribute)
                        known.values.setdefault(target.attr, (node.value, method))

    # -- annotations -------------------------------------------------------------------------------
    def said(self, annotation: Annotation) -> Known:
        """What an annotation says."""
        node, module = annotation
        match node:
            case ast.Constant(value=str() as text):
                return self.said((ast.parse(text, mode="eval").body, module))
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return self.said((left, module)) | self.said((right, module))
            case ast.Subscript(value=value, slice=inside):
                return self._subscripted(_last(value), inside, module)
            case ast.Name() | ast.Attribute():
                name = self.meant(node, module)
                if name in self.classes:
                    return Known(frozenset({name}))
                if name in self.constants:  # an alias: Flow: TypeAlias = …
                    return NOTHING
        return NOTHING

    def _subscripted(self, outer: str, inside: ast.expr, module: str) -> Known:
        parts = inside.elts if isinstance(inside, ast.Tuple) else [inside]
        if outer in WRAPPERS or outer == "Union":
            return _together(self.said((part, module)) for part in parts)
        if outer in ELEMENTS:
            return Known(elements=_together(self.said((part, module)) for part in parts))
        if outer in MAPPINGS and len(parts) == 2:
            return Known(elements=self.said((parts[1], module)))
        return NOTHING

    def meant(self, node: ast.expr, module: str) -> str:
        """The full name of what a name or a dotted name means in a module; "" if it is unknown."""
        if isinstance(node, ast.Name):
            return self.names[module].get(node.id, "")
        if isinstance(node, ast.Attribute):
            outer = self.meant(node.value, module)
            return f"{outer}.{node.attr}" if outer else ""
        return ""

    # -- attributes --------------------------------------------------------------------------------
    def line(self, name: str) -> Iterator[Class]:
        """A class and those that it comes from."""
        known = self.classes.get(name)
        if known is not None:
            yield known
            for base in known.bases:
                plain = base.value if isinstance(base, ast.Subscript) else base
                yield from self.line(self.meant(plain, known.module))

    def attribute(self, classes: frozenset[str], attr: str) -> Known:
        """What an attribute of objects of these classes is."""
        return _together(self._attribute_of(name, attr) for name in classes)

    def _attribute_of(self, name: str, attr: str) -> Known:
        if (name, attr) not in self.seen:
            self.seen[name, attr] = NOTHING  # what it is made of may lead back to itself
            for known in self.line(name):
                if attr in known.attributes:
                    self.seen[name, attr] = self.said(known.attributes[attr])
                    break
                if attr in known.values:
                    value, method = known.values[attr]
                    names = {arg.arg: self.said((arg.annotation, known.module))
                             for arg in _arguments(method) if arg.annotation is not None}
                    names["self"] = Known(frozenset({name}))
                    self.seen[name, attr] = self.of(value, known.module, names)
                    break
        return self.seen[name, attr]

    def home(self, name: str, attr: str) -> str:
        """The class that brings an attribute into objects of this class: the one with the slot."""
        for known in self.line(name):
            if attr in known.slots:
                return known.name
        return name

    # -- expressions -------------------------------------------------------------------------------
    def of(self, node: ast.expr, module: str, names: dict[str, Known]) -> Known:
        """What an expression is, the local names being `names`."""
        match node:
            case ast.Name(id=name):
                if name in names:
                    return names[name]
                full = self.names[module].get(name, "")
                return self.said(self.constants[full]) if full in self.constants else NOTHING
            case ast.Attribute(value=value, attr=attr):
                full = self.meant(node, module)
                if full in self.constants:
                    return self.said(self.constants[full])
                return self.attribute(self.of(value, module, names).classes, attr)
            case ast.Call():
                return self._called(node, module, names)
            case ast.Subscript(value=value):
                return self.of(value, module, names).elements or NOTHING
            case ast.IfExp(body=one, orelse=other):
                return self.of(one, module, names) | self.of(other, module, names)
            case ast.BoolOp(values=values):
                return _together(self.of(value, module, names) for value in values)
            case ast.NamedExpr(value=value) | ast.Await(value=value) | ast.Starred(value=value):
                return self.of(value, module, names)
        return NOTHING

    def _called(self, node: ast.Call, module: str, names: dict[str, Known]) -> Known:
        full = self.meant(node.func, module)
        if full in self.classes:
            return Known(frozenset({full}))
        if full in self.results:
            return self.said(self.results[full])
        if isinstance(node.func, ast.Attribute):
            outer = self.of(node.func.value, module, names)
            for name in outer.classes:
                for known in self.line(name):
                    if node.func.attr in known.results:
                        return self.said(known.results[node.func.attr])
            if node.func.attr in ("pop", "popleft", "get", "setdefault"):
                return outer.elements or NOTHING
            if node.func.attr in ("values", "copy"):
                return Known(elements=outer.elements)
        elif isinstance(node.func, ast.Name) and node.args:
            if node.func.id in ("list", "tuple", "sorted", "reversed", "set", "iter"):
                return self.of(node.args[0], module, names)
            if node.func.id in ("next", "min", "max", "heappop"):
                return self.of(node.args[0], module, names).elements or NOTHING
            if node.func.id == "cast" and len(node.args) == 2:
                return self.said((node.args[0], module))
        return NOTHING

    def locals_of(
        self, function: ast.FunctionDef | ast.AsyncFunctionDef, module: str, owner: str | None,
        outer: dict[str, Known],
    ) -> dict[str, Known]:
        """What the names in a function are, those of the functions around it included."""
        names = dict(outer)
        for arg in _arguments(function):
            if arg.annotation is not None:
                names[arg.arg] = self.said((arg.annotation, module))
        positional = [*function.args.posonlyargs, *function.args.args]
        if owner is not None and positional:
            names[positional[0].arg] = Known(frozenset({owner}))
        for _ in range(2):  # a name may be used above the line that says what it is
            for node in ast.walk(function):
                match node:
                    case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation):
                        names[name] = self.said((annotation, module))
                    case ast.Assign(targets=targets, value=value):
                        for target in targets:
                            self._bind(names, target, value, module)
                    case ast.NamedExpr(target=ast.Name() as target, value=value):
                        self._bind(names, target, value, module)
                    case ast.For(target=target, iter=source) | ast.comprehension(
                        target=target, iter=source
                    ):
                        self._bind_elements(names, target, source, module)
                    case ast.withitem(context_expr=value, optional_vars=ast.Name() as target):
                        self._bind(names, target, value, module)
                _narrow(self, node, module, names)
        return names

    def _bind(
        self, names: dict[str, Known], target: ast.expr, value: ast.expr, module: str
    ) -> None:
        if isinstance(target, ast.Name):
            known = self.of(value, module, names)
            if known.classes or known.elements:
                names[target.id] = names.get(target.id, NOTHING) | known
        elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for one, other in zip(target.elts, value.elts, strict=False):
                self._bind(names, one, other, module)
        elif isinstance(target, ast.Tuple):
            elements = self.of(value, module, names).elements
            for one in target.elts:
                if isinstance(one, ast.Name) and elements is not None and elements.classes:
                    names[one.id] = names.get(one.id, NOTHING) | elements

    def _bind_elements(
        self, names: dict[str, Known], target: ast.expr, source: ast.expr, module: str
    ) -> None:
        elements = self.of(source, module, names).elements
        if elements is None:
            return
        for name in [target] if isinstance(target, ast.Name) else ast.walk(target):
            if isinstance(name, ast.Name) and (elements.classes or elements.elements):
                names[name.id] = names.get(name.id, NOTHING) | elements


def _narrow(types: Types, node: ast.AST, module: str, names: dict[str, Known]) -> None:
    """`isinstance(x, C)` says that x may be a C."""
    if (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            and node.func.id == "isinstance" and isinstance(node.args[0], ast.Name)):  # fmt: skip
        kinds = node.args[1].elts if isinstance(node.args[1], ast.Tuple) else [node.args[1]]
        found = _together(types.said((kind, module)) for kind in kinds)
        name = node.args[0].id
        if found.classes and not names.get(name, NOTHING).classes:
            names[name] = found


def _names(source: Source, modules: set[str]) -> Iterator[tuple[str, str]]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "pystack":
            inside = (node.module or "").partition(".")[2]
            for alias in node.names:
                yield alias.asname or alias.name, f"{inside}.{alias.name}".strip(".")
    for top in source.tree.body:
        for node in _flat(top):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                yield node.name, f"{source.module}.{node.name}"
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                yield node.target.id, f"{source.module}.{node.target.id}"


def _flat(node: ast.stmt) -> Iterator[ast.stmt]:
    """A statement, or those inside of an `if`, `try` or `with` at the top."""
    if isinstance(node, (ast.If, ast.Try, ast.With)):
        inside = [*node.body, *getattr(node, "orelse", []), *getattr(node, "finalbody", [])]
        for statement in inside:
            yield from _flat(statement)
    else:
        yield node


def _arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


def _together(parts: Iterable[Known]) -> Known:
    found = NOTHING
    for part in parts:
        found |= part
    return found


def _last(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        return _last(node.func)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _is_named(targets: list[ast.expr], name: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in targets)


def _is_of_self(target: ast.expr) -> bool:
    return (
        isinstance(target, ast.Attribute)
        and isinstance(target.value, ast.Name)
        and target.value.id == "self"
    )


def _strings(node: ast.expr) -> Iterator[str]:
    for inside in ast.walk(node):
        if isinstance(inside, ast.Constant) and isinstance(inside.value, str):
            yield inside.value
