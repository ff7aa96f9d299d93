"""Walks over a statement's tree, without those that would find nothing to do.

fakesnow translates a statement by some 75 functions, one after another, each called with every node of the tree. Nearly
all of them look for one type of node and begin with that question. A tree without such a node is left as it is.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable
from functools import cache
from typing import Any

from sqlglot import exp

Transform = Callable[..., Any]


class Walks:
    """A statement that takes the place of its tree where only `transform` is called."""

    def __init__(self, tree: exp.Expr) -> None:
        self.tree = tree
        self._found: set[type] | None = None

    def transform(self, function: Transform, *args: object, **kwargs: Any) -> "Walks":
        """Transform the tree, unless the function would return every node as it is."""
        wanted = looked_for(called(function))
        if wanted and not any(issubclass(kind, wanted) for kind in self._kinds()):
            return self
        self.tree = self.tree.transform(function, *args, **kwargs)
        self._found = None
        return self

    def _kinds(self) -> set[type]:
        if self._found is None:
            self._found = {type(node) for node in self.tree.walk()}
        return self._found


def called(function: Transform) -> Transform:
    """The function itself, or the one function of a module that a lambda calls: `lambda node: module.name(node, …)`."""
    module, *names = function.__code__.co_names or ("",)
    if function.__name__ != "<lambda>" or not names or not inspect.ismodule(function.__globals__.get(module)):
        return function
    found = getattr(function.__globals__[module], names[0], None)
    return found if inspect.isfunction(found) else function


@cache
def looked_for(function: Transform) -> tuple[type, ...]:
    """The types of node that the function does anything with, as its source says; empty: perhaps any.

    Two forms are known, the first with nothing behind it but `return expression`:

        if isinstance(expression, exp.Kind) and …:
        if not isinstance(expression, exp.Kind) or …: return expression
    """
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    if not isinstance(definition, ast.FunctionDef):
        return ()
    body = definition.body[1:] if ast.get_docstring(definition) is not None else definition.body
    match body:
        case [ast.If(test=test, orelse=[]), last] if _returns_the_node(last):
            return _kinds_of(_first_of(test, ast.And), function)
        case [ast.If(test=test, body=[only]), *_] if _returns_the_node(only):
            match _first_of(test, ast.Or):
                case ast.UnaryOp(op=ast.Not(), operand=operand):
                    return _kinds_of(_first_of(operand, ast.And), function)
    return ()


def _first_of(test: ast.expr, operator: type[ast.boolop]) -> ast.expr:
    return test.values[0] if isinstance(test, ast.BoolOp) and isinstance(test.op, operator) else test


def _returns_the_node(statement: ast.stmt) -> bool:
    return ast.unparse(statement) == "return expression"


def _kinds_of(question: ast.expr, function: Transform) -> tuple[type, ...]:
    """The types of `isinstance(expression, types)`; empty for any other question."""
    match question:
        case ast.Call(func=ast.Name(id="isinstance"), args=[ast.Name(id="expression"), types]):
            found = eval(ast.unparse(types), function.__globals__)  # fakesnow's own source
            return found if isinstance(found, tuple) else (found,)
    return ()
