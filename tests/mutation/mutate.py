"""Small changes to a program, one at a time: what a test suite has to notice.

comparisons, + and -, & and |, << and >>, `and` and `or`, `not`    another operator
numbers and bytes                                                   one more, one less; first byte
statements                                                          left out
branches                                                            exchanged
"""

import ast
import copy

COMPARISONS = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
REMOVABLE = (
    ast.Expr,
    ast.Assign,
    ast.AugAssign,
    ast.Raise,
    ast.If,
    ast.Return,
    ast.While,
    ast.For,
)


def _changes(node):
    """Yield functions, each of which changes a copy of the node in another way."""
    if isinstance(node, ast.Compare):
        for at, operator in enumerate(node.ops):
            for other in COMPARISONS[type(operator)]:
                yield lambda n, at=at, other=other: n.ops.__setitem__(at, other())
    if isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in OPERATORS:
        other = OPERATORS[type(node.op)]
        yield lambda n: setattr(n, "op", other())
    if isinstance(node, ast.BoolOp):
        swapped = ast.Or if isinstance(node.op, ast.And) else ast.And
        yield lambda n: setattr(n, "op", swapped())
    if isinstance(node, ast.Constant):
        yield from _constants(node.value)
    if isinstance(node, (ast.If, ast.IfExp, ast.While)):
        yield lambda n: setattr(n, "test", ast.UnaryOp(ast.Not(), n.test))


def _constants(value):
    others = []
    if isinstance(value, bool):
        others = [not value]
    elif isinstance(value, int):
        others = [value + 1, value - 1]
    elif isinstance(value, bytes):
        others = [bytes([value[0] ^ 1]) + value[1:] if value else b"\0"]
    for other in others:
        yield lambda n, other=other: setattr(n, "value", other)


def _is_docstring(statement):
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _short(node):
    """The node as text: of a compound statement its first line."""
    return ast.unparse(node).splitlines()[0]


def _inside(tree, names):
    """Yield (name, node) for all functions and constants named, such as "Chain.unpack"."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and node.targets[0].id in names:
            yield node.targets[0].id, node
        elif isinstance(node, ast.FunctionDef) and node.name in names:
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            for each in node.body:
                name = f"{node.name}.{getattr(each, 'name', '')}"
                if isinstance(each, ast.FunctionDef) and (name in names or node.name in names):
                    yield name, each


def _parts(node):
    """Yield all nodes that run, without annotations and decorators."""
    if isinstance(node, ast.FunctionDef):
        below = [*node.args.defaults, *node.body]
    elif isinstance(node, (ast.arg, ast.AnnAssign)):
        below = [node.value] if getattr(node, "value", None) else []
    else:
        below = list(ast.iter_child_nodes(node))
    for each in below:
        if not _is_docstring(each):
            yield each
            yield from _parts(each)


def mutants(source, names):
    """Return {identity: program}. The identity says what was changed and holds no line number."""
    tree = ast.parse(source)
    found = {}

    def add(name, old, new):
        identity = unnumbered = f"{name}: {old} -> {new}"
        number = 1
        while identity in found:
            number += 1
            identity = f"{unnumbered} (#{number})"
        found[identity] = ast.unparse(ast.fix_missing_locations(tree))

    for name, function in _inside(tree, names):
        for node in _parts(function):
            for change in _changes(node):
                before, context = copy.deepcopy(node), _context(function, node)
                old = _short(context)
                change(node)
                add(name, old, _short(context))
                for field in node._fields:
                    setattr(node, field, getattr(before, field))
        for block in _blocks(function):
            for at, statement in enumerate(block):
                if isinstance(statement, REMOVABLE) and not _is_docstring(statement):
                    block[at] = ast.Pass()
                    add(name, _short(statement), "nothing")
                    block[at] = statement
    return found


def _context(function, node):
    """Return the smallest statement around a node."""
    best = function
    for each in ast.walk(function):
        inside = isinstance(each, ast.stmt) and any(n is node for n in ast.walk(each))
        if inside and len(list(ast.walk(each))) < len(list(ast.walk(best))):
            best = each
    return best


def _blocks(node):
    """Yield every list of statements below a node."""
    for each in ast.walk(node):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(each, field, None)
            if isinstance(block, list):
                yield block
