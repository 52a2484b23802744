"""Statements that the parser keeps as text (GRANT, SHOW, OWNER TO, …): read as words, names and strings."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlglot import exp
from sqlglot.dialects.databricks import Databricks
from sqlglot.errors import TokenError
from sqlglot.tokens import Token, TokenType

from agent_deploy.local.statements.errors import SqlError

_QUOTED = (TokenType.IDENTIFIER, TokenType.STRING)


@dataclass
class Phrase:
    """A cursor over a statement's tokens."""

    text: str
    position: int = 0
    tokens: list[Token] = field(default_factory=list)

    def __post_init__(self) -> None:
        try:
            tokens = Databricks().tokenize(self.text)
            if tokens:
                # The tokenizer takes what follows some verbs (SHOW, EXECUTE) as one string when they come first.
                tokens = [tokens[0], *Databricks().tokenize(f"_ {self.text[tokens[0].end + 1 :]}")[1:]]
            self.tokens = [token for token in tokens if token.token_type != TokenType.SEMICOLON]
        except TokenError as error:
            raise SqlError("PARSE_SYNTAX_ERROR", f"{error}.") from error

    @property
    def ended(self) -> bool:
        """Whether nothing follows."""
        return self.position >= len(self.tokens)

    def take(self, *words: str) -> bool:
        """Whether these key words follow; if so, go past them."""
        said = [word for phrase in words for word in phrase.upper().split()]
        if self._ahead(len(said)) != said:
            return False
        self._skip(len(said))
        return True

    def expect(self, *words: str) -> None:
        """Go past these key words; raises SqlError when others follow."""
        if not self.take(*words):
            raise self.error(" ".join(words))

    def word(self, what: str) -> str:
        """The next word or quoted text, as it is written; raises SqlError at the end."""
        if self.ended:
            raise self.error(what)
        token = self.tokens[self.position]
        self.position += 1
        return token.text

    def name(self, what: str) -> str:
        """A name of one or more levels, joined by periods."""
        levels = [self.word(what)]
        while not self.ended and self.tokens[self.position].token_type == TokenType.DOT:
            self.position += 1
            levels.append(self.word(what))
        return ".".join(levels)

    def table(self, what: str) -> exp.Table:
        """A name as the parser would have given it."""
        levels = self.name(what).split(".")
        if len(levels) > 3:
            raise self.error(what)
        catalog, schema, name = ["", "", *levels][-3:] if len(levels) < 3 else levels
        return exp.table_(name, db=schema or None, catalog=catalog or None, quoted=True)

    def until(self, *words: str) -> list[str]:
        """Comma-separated runs of words before one of the key words: ``USE SCHEMA, SELECT``."""
        found: list[list[str]] = [[]]
        while not self.ended and self._ahead(1)[0] not in words:
            text = self.word("")
            found.append([]) if text == "," else found[-1].append(text)
        return [" ".join(run) for run in found if run]

    def finish(self) -> None:
        """Raise SqlError when something follows."""
        if not self.ended:
            raise self.error("the end of the statement")

    def error(self, expected: str) -> SqlError:
        """A syntax error at the cursor."""
        near = "end of input" if self.ended else f"'{self.tokens[self.position].text}'"
        return SqlError("PARSE_SYNTAX_ERROR", f"Syntax error at or near {near}: expected {expected}.")

    def _ahead(self, count: int) -> list[str]:
        # Some pairs of words are one token, such as OWNER TO or NOT NULL in some versions of the tokenizer.
        words: list[str] = []
        for token in self.tokens[self.position :]:
            words += [token.text] if token.token_type in _QUOTED else token.text.upper().split()
            if len(words) >= count:
                break
        return words[:count]

    def _skip(self, count: int) -> None:
        while count > 0:
            count -= len(self.tokens[self.position].text.split())
            self.position += 1
