"""From expressions of EQL to predicates and values of the kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from kestrel_eql import syntax
from kestrel_eql.constant_nulls import always_null
from kestrel_eql.dialect import Settings
from kestrel_eql.functions import Meaning, find_function, is_condition
from kestrel_eql.kinds import kind_test, same_kind, same_ordered_kind
from kestrel_eql.names import Names, Refused
from kestrel_eql.patterns import endgame_wildcard, wildcard
from kestrel_eql.problems import Problems
from kestrel_eql.regexes import from_lucene
from kestrel_eql.remarks import (
    remark_on_choices,
    remark_on_constants,
    remark_on_percent_signs,
    remark_on_terms,
    remark_on_text,
)
from kestrel_eql.truths import NOTHING, Truths, conjunction, disjunction, null_test
from kestrel_eql.type_checks import TypeChecks, literal_hint
from kestrel_framework import predicate as tree
from kestrel_framework.predicate import ComparisonOperator, Predicate, Value
from kestrel_framework.values import LARGEST_INTEGER, regex_size, text_of

_MAX_CONDITIONS_AS_VALUES: Final = 4
"""How deep conditions nest as values (`true == (null == (a > 1))`): each level doubles the tree."""

_ORDER: Final = {
    "<": ComparisonOperator.LESS,
    "<=": ComparisonOperator.LESS_OR_EQUAL,
    ">": ComparisonOperator.GREATER,
    ">=": ComparisonOperator.GREATER_OR_EQUAL,
}

MAX_REGEX_SIZE: Final = 200_000
"""How many instructions the regular expressions of a rule may take together."""
_LEAST_REGEX_SIZE: Final = 200
"""What a regular expression counts at least, since many small ones cost as much as a large one."""

_FLOORING: Final = {"/": "floor /", "%": "floor %"}
_RELATIONS: Final = frozenset(relation.value for relation in tree.LineageRelation)

_LoweredT = TypeVar("_LoweredT")
_NodeT = TypeVar("_NodeT")


class ExpressionLowering:
    """Lowers the expressions of one rule. What is wrong goes to `problems`, all of it.

    A part with an error raises `Refused` up to the nearest `and`, `or` or list,
    which goes on with what is beside it, so that one pass finds every error.
    """

    def __init__(self, names: Names, settings: Settings, problems: Problems) -> None:
        self.names = names
        self.settings = settings
        self.problems = problems
        self.types = TypeChecks(names, problems)
        self._nested_conditions = 0
        self._regex_size = 0

    # --- conditions ---

    def condition(self, node: syntax.Expression) -> Predicate:
        """Return when an event satisfies a condition, in the logic of the dialect.

        Raises:
            Refused: it has no meaning.
        """
        if self.settings.endgame:
            return self.truths(node).holds
        predicate = self._two_valued(node)
        may_turn_null = isinstance(predicate, (tree.Not, tree.Constant))
        if may_turn_null and always_null(node, self.names.never_exists):
            if predicate != tree.NEVER:
                self.problems.warn(
                    "this is null for every event, and so is its negation: it never holds",
                    node.position,
                )
            return tree.NEVER
        return predicate

    def _two_valued(self, node: syntax.Expression) -> Predicate:
        match node:
            case syntax.Not():
                return tree.negation(self.condition(node.term))
            case syntax.And():
                remark_on_terms(node, self.problems)
                return tree.all_of(self.each(node.terms, self.condition))
            case syntax.Or():
                remark_on_terms(node, self.problems)
                return tree.any_of(self.each(node.terms, self.condition))
            case syntax.Comparison(operator="==" | "!="):
                return self._two_valued_equality(node)
            case syntax.Membership(negated=True):
                return tree.negation(self._membership(node).holds)
            case _:
                return self.truths(node).holds

    def truths(self, node: syntax.Expression) -> Truths:
        """Return when a condition is true, false and null.

        Raises:
            Refused: it has no meaning.
        """
        match node:
            case syntax.Not():
                return self.truths(node.term).negated
            case syntax.And():
                remark_on_terms(node, self.problems)
                return conjunction(self.each(node.terms, self.truths))
            case syntax.Or():
                remark_on_terms(node, self.problems)
                return disjunction(self.each(node.terms, self.truths))
            case syntax.Comparison():
                return self._comparison(node)
            case syntax.Membership():
                found = self._membership(node)
                return found.negated if node.negated else found
            case syntax.Match():
                return self._match(node)
            case syntax.Lineage():
                return Truths.certain(self._lineage(node))
            case syntax.Call():
                return self._truth_of(self._call(node), node)
            case _:
                return self._truth_of(self.value(node), node)

    def _truth_of(self, meaning: Meaning, node: syntax.Expression) -> Truths:
        """Return a value as a condition."""
        match meaning:
            case Truths():
                return meaning
            case tree.Literal(value=None):
                return NOTHING
            case tree.Literal(value=bool() as holds):
                return Truths.certain(tree.Constant(holds))
            case tree.Literal(value=str()):
                problem = 'a constant is no condition; a list of texts is `field : ("a", "b")`'
                raise self.names.refuse(problem, node)
            case tree.Literal():
                raise self.names.refuse(
                    "a constant is no condition: compare it with something", node
                )
        if self.settings.endgame:
            return self._truthiness(meaning, node)
        if not isinstance(meaning, (tree.Field, tree.StepField, tree.Element)):
            raise self.names.refuse(
                "this is a value, no condition: compare it with something", node
            )
        self.types.condition(meaning, node)
        is_true = tree.comparison(ComparisonOperator.EQUAL, meaning, tree.Literal(True))
        return Truths.leaf(is_true, (meaning,))

    def _truthiness(self, value: Value, node: syntax.Expression) -> Truths:
        """Return whether a value is there and neither false, 0 nor empty.

        `subtype.create` is also true where `subtype` is the text "create".
        """
        falsehoods = [
            tree.Comparison(ComparisonOperator.EQUAL, value, tree.Literal(empty))
            for empty in (False, 0, "")
        ]
        fails = tree.any_of(falsehoods)
        unknown = null_test(value)
        holds = tree.all_of((tree.negation(unknown), tree.negation(fails)))
        choice = self.names.text_choice(node)
        if choice is None:
            return Truths.of(holds, fails, unknown)
        above, text = choice
        chosen = tree.Comparison(ComparisonOperator.EQUAL, above, tree.Literal(text))
        other = tree.all_of((kind_test(above, "text"), tree.negation(chosen)))
        return Truths.among(tree.any_of((holds, chosen)), tree.any_of((fails, other, chosen)))

    # --- comparisons ---

    def _comparison(self, node: syntax.Comparison) -> Truths:
        if node.operator in _ORDER:
            return self._order(node)
        if node.operator == "=" and not self.settings.endgame:
            self.problems.error(
                "`=` compares in the endgame dialect only; write `==`", node.position
            )
        equal = self._equality(node)
        return equal.negated if node.operator == "!=" else equal

    def _order(self, node: syntax.Comparison) -> Truths:
        left, right = self._both(node)
        for side, value in ((node.left, left), (node.right, right)):
            if isinstance(value, tree.Literal) and isinstance(value.value, bool):
                raise self.names.refuse(f"true and false have no order: `{node.operator}`", side)
            if value == tree.Literal(None):
                self.problems.warn(
                    "nothing is less or greater than null: this never holds", side.position
                )
                return NOTHING
        remark_on_constants(node, self.problems)
        sides = (node.left, node.right)
        return self._compared(_ORDER[node.operator], (left, right), sides, node)

    def _two_valued_equality(self, node: syntax.Comparison) -> Predicate:
        """Return `==` or `!=` where a condition is true or false: `c == false` is `not c`."""
        for side, other in ((node.left, node.right), (node.right, node.left)):
            match other:
                case syntax.Literal(value=bool() as wanted) if is_condition(side):
                    holds = self.condition(side)
                    wanted = wanted is (node.operator == "==")
                    return holds if wanted else tree.negation(holds)
        equal = self._equality(node).holds
        return tree.negation(equal) if node.operator == "!=" else equal

    def _equality(self, node: syntax.Comparison) -> Truths:
        remark_on_constants(node, self.problems)
        for side, other in ((node.left, node.right), (node.right, node.left)):
            match other:
                case syntax.Literal(value=None):
                    return self._nullity(side)
                case syntax.Literal(value=bool() as wanted) if is_condition(side):
                    found = self._nested(side)
                    return found if wanted else found.negated
        left, right = self._both(node)
        for text, value in ((left, right), (right, left)):
            if isinstance(text, tree.Literal) and isinstance(text.value, str) and "*" in text.value:
                if self.settings.endgame:
                    return self.endgame_wildcard(value, (text.value,), node)
                self.problems.warn(
                    f"`{node.operator}` takes `*` as it stands; write `:` or `like` for a pattern",
                    node.position,
                )
        sides = (node.left, node.right)
        equal = self._compared(ComparisonOperator.EQUAL, (left, right), sides, node)
        if not self.settings.endgame and _is_optional(node.left) and _is_optional(node.right):
            both_null = tree.all_of((null_test(left), null_test(right)))
            return Truths.certain(tree.any_of((equal.holds, both_null)))
        return equal

    def _compared(
        self,
        operator: ComparisonOperator,
        values: tuple[Value, Value],
        sides: tuple[syntax.Expression, syntax.Expression],
        node: syntax.Expression,
        *,
        fold: bool = False,
    ) -> Truths:
        left, right = values
        try:
            holds = tree.comparison(operator, left, right, fold=fold or self.settings.fold)
        except ValueError as error:
            hint = literal_hint(left, right) or literal_hint(right, left)
            raise self.names.refuse(
                f"this comparison can never hold: {error}{hint}", node
            ) from None
        self.types.comparison(holds, sides, node)
        if self.settings.endgame:
            equality = operator is ComparisonOperator.EQUAL
            comparable = same_kind if equality else same_ordered_kind
            return Truths.among(holds, comparable(left, right))
        return Truths.leaf(holds, (left, right))

    def _nullity(self, node: syntax.Expression) -> Truths:
        if is_condition(node):
            return self._nested(node).nullity
        return Truths.certain(null_test(self.value(node)))

    def _both(self, node: syntax.Comparison) -> tuple[Value, Value]:
        left, right = self.each((node.left, node.right), self.value)
        return left, right

    # --- membership and patterns ---

    def _membership(self, node: syntax.Membership) -> Truths:
        fold = node.fold or self.settings.fold
        value = self.value(node.value)
        remark_on_choices(node.choices, self.problems, fold=fold)
        literals: list[tree.Literal] = []
        equal: list[Truths] = []
        for choice, lowered in zip(node.choices, self.each(node.choices, self.value), strict=True):
            if isinstance(lowered, tree.Literal):
                if lowered.value is None:
                    self.problems.warn("null is never equal to anything in a list", choice.position)
                elif self._can_match(value, lowered, node.value, choice):
                    literals.append(lowered)
            else:
                sides = (node.value, choice)
                equality = ComparisonOperator.EQUAL
                equal.append(self._compared(equality, (value, lowered), sides, choice, fold=fold))
        known = Truths.leaf(tree.membership(value, literals, fold=fold), (value,))
        if equal and self.settings.endgame:  # then each choice is a comparison of its own
            kinds = tree.any_of(same_kind(value, literal) for literal in literals)
            known = Truths.among(known.holds, kinds)
        return disjunction([known, *equal]) if equal else known

    def _can_match(
        self,
        value: Value,
        literal: tree.Literal,
        node: syntax.Expression,
        choice: syntax.Expression,
    ) -> bool:
        if isinstance(literal.value, str) and "*" in literal.value:
            self.problems.warn(
                "`in` takes `*` as it stands, so this rarely matches; write `:` or `like`",
                choice.position,
            )
        try:
            found = tree.comparison(ComparisonOperator.EQUAL, value, literal)
            self.types.comparison(found, (node, choice), choice)
        except ValueError as error:
            hint = literal_hint(value, literal)
            self.problems.error(f"this choice can never match: {error}{hint}", choice.position)
            return False
        except Refused:
            return False
        return True

    def _match(self, node: syntax.Match) -> Truths:
        value = self.value(node.value)
        fold = node.operator.endswith((":", "~")) or self.settings.fold
        texts = self.each(node.patterns, self._pattern)
        remark_on_choices(node.patterns, self.problems, fold=fold)
        if not node.operator.startswith("regex"):
            remark_on_percent_signs(node.patterns, self.problems)
            self.types.wildcards(value, texts, node)
            return Truths.leaf(wildcard(value, texts, fold=fold), (value,))
        self.types.expressions(value, node)
        patterns = [
            self.regex(text, pattern, fold=fold)
            for text, pattern in zip(texts, node.patterns, strict=True)
        ]
        return Truths.leaf(tree.Regex(value, tuple(dict.fromkeys(patterns)), fold), (value,))

    def _pattern(self, node: syntax.Expression) -> str:
        if isinstance(node, (syntax.And, syntax.Or)):
            raise self.names.refuse("patterns in a list are separated by `,`", node)
        if not isinstance(node, syntax.Literal) or node.value is None:
            raise self.names.refuse("a pattern must be a text in quotes", node)
        if isinstance(node.value, str):
            remark_on_text(node.value, node.position, self.problems)
        return text_of(node.value)

    def endgame_wildcard(
        self, value: Value, patterns: Sequence[str], node: syntax.Expression
    ) -> Truths:
        """Return the test of `==` and `wildcard` in the endgame dialect.

        Raises:
            Refused: a pattern is too large.
        """
        for pattern in patterns:
            if "?" in pattern:  # which makes it a regular expression
                self._count_regex(len(pattern), node)
        try:
            return endgame_wildcard(value, patterns, fold=self.settings.fold)
        except ValueError:
            raise self.names.refuse("the pattern is too large", node) from None

    def _count_regex(self, instructions: int, node: syntax.Expression) -> None:
        self._regex_size += max(instructions, _LEAST_REGEX_SIZE)
        if self._regex_size > MAX_REGEX_SIZE:
            problem = "the rule has too many regular expressions, or too large ones"
            raise self.names.refuse(problem, node)

    def regex(self, text: str, node: syntax.Expression, *, fold: bool) -> str:
        """Return a regular expression in the kernel's syntax.

        Raises:
            Refused: it is wrong, or the rule has too much of them.
        """
        remarks: dict[str, None] = {}
        try:
            pattern = text
            if not self.settings.endgame:
                pattern = from_lucene(text, lambda sentence: remarks.setdefault(sentence))
            # Beyond the limit none is compiled any more: that would take the longest.
            known = self._regex_size <= MAX_REGEX_SIZE
            instructions = regex_size(pattern, fold=fold) if known else 0
        except ValueError as error:
            raise self.names.refuse(str(error), node) from None
        self._count_regex(instructions, node)
        for sentence in remarks:
            self.problems.warn(f"in this regular expression, {sentence}", node.position)
        return pattern

    def _lineage(self, node: syntax.Lineage) -> Predicate:
        if self.names.in_pipes:
            problem = f"`{node.relation} of` cannot stand in a pipe: put it before the `|`"
            raise self.names.refuse(problem, node)
        types = self.names.event_types(node.query)
        with self.names.alone(f"{node.relation} of [...]"):
            predicate = self.condition(node.query.condition)
        if node.relation not in _RELATIONS:
            raise Refused("told where the tree was built")
        return self.names.lineage(tree.LineageRelation(node.relation), types, predicate)

    # --- values ---

    def value(self, node: syntax.Expression) -> Value:
        """Return an expression as a value; a condition is one of true, false and null.

        Raises:
            Refused: it has no meaning.
        """
        match node:
            case syntax.Literal():
                if isinstance(node.value, str):
                    remark_on_text(node.value, node.position, self.problems)
                if isinstance(node.value, int) and node.value > LARGEST_INTEGER:
                    problem = "the number is too large: integers have 64 bits"
                    raise self.names.refuse(problem, node)
                return tree.Literal(node.value)
            case syntax.Field():
                return self.names.value(node)
            case syntax.Variable():
                return self.names.variable(node)
            case syntax.Sign():
                operand = self.number(node.operand)
                if node.operator == "+":
                    return operand
                zero = tree.Literal(0)
                return tree.Arithmetic(tree.ArithmeticOperator.SUBTRACT, zero, operand)
            case syntax.Arithmetic():
                return self.arithmetic(node.operator, (node.left, node.right))
            case syntax.Call() if not is_condition(node):
                meaning = self._call(node)
                return meaning.as_value() if isinstance(meaning, Truths) else meaning
            case _:
                return self._nested(node).as_value()

    def arithmetic(self, operator: str, operands: Sequence[syntax.Expression]) -> tree.Arithmetic:
        """Return `left operator right` for `+ - * / %`.

        Raises:
            Refused: an operand is no number.
        """
        left, right = self.each(operands, self.number)
        meant = _FLOORING.get(operator, operator) if self.settings.endgame else operator
        return tree.Arithmetic(tree.ArithmeticOperator(meant), left, right)

    def number(self, node: syntax.Expression) -> Value:
        """Return a value that can be a number.

        Raises:
            Refused: it is a constant of another kind.
        """
        value = self.value(node)
        if isinstance(value, tree.Literal) and isinstance(value.value, (str, bool)):
            hint = "; `concat` joins texts" if isinstance(value.value, str) else ""
            raise self.names.refuse(f"`{text_of(value.value)}` is no number{hint}", node)
        self.types.operand(value, node)
        return value

    def _nested(self, node: syntax.Expression) -> Truths:
        """Return a condition that stands where a value does."""
        if self._nested_conditions >= _MAX_CONDITIONS_AS_VALUES:
            problem = f"conditions as values nest deeper than {_MAX_CONDITIONS_AS_VALUES} levels"
            raise self.names.refuse(problem, node)
        self._nested_conditions += 1
        try:
            return self.truths(node)
        finally:
            self._nested_conditions -= 1

    # --- calls ---

    def _call(self, node: syntax.Call) -> Meaning:
        return find_function(self, node).lower(self, node)

    def each(
        self,
        nodes: Sequence[_NodeT],
        lower: Callable[[_NodeT], _LoweredT],
    ) -> list[_LoweredT]:
        """Lower every node, also after one that has no meaning."""
        lowered: list[_LoweredT] = []
        refused: Refused | None = None
        for node in nodes:
            try:
                lowered.append(lower(node))
            except Refused as problem:
                refused = problem
        if refused is not None:
            raise refused
        return lowered


def _is_optional(node: syntax.Expression) -> bool:
    return isinstance(node, syntax.Field) and node.optional
