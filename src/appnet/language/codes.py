"""Every code a program's diagnostics can carry. A code is never reused; docs/diagnostics.md is made from this table."""

from __future__ import annotations

CODES: dict[str, str] = {
    # text
    "E001": "A character or a string that no token of the language begins with or ends.",
    "E002": "Indentation that fits no open block, or that mixes tabs and spaces so that its depth cannot be told.",
    "E003": "A token where the grammar has no place for it.",
    "E004": "A file that cannot be read as text.",
    "E005": "A block is missing, doubled or out of order: a program is state, init, req, resp.",
    "E006": "A program in the older brace syntax where the indentation syntax is needed.",
    # names
    "E010": "A name that nothing in scope has.",
    "E011": "A variable that is assigned only on some paths and used after them.",
    "E012": "A name that is declared twice, or that belongs to the language.",
    "E013": "A function that does not exist.",
    "E014": "A field that the message does not have.",
    "E015": "A field of a kind that programs cannot use yet.",
    "E016": "An entry of a Map that is changed in place under a name that stands for another value on some paths.",
    # types
    "E020": "A value of one type where another is needed.",
    "E021": "A type that does not exist or cannot be used there.",
    "E022": "The wrong number of arguments.",
    "E023": "A pattern that does not fit what is matched.",
    "E024": "A number that does not fit its type.",
    "E025": "A type that nothing tells.",
    "E026": "A regular expression that cannot be used.",
    # verdicts
    "E030": "A message sent the wrong way.",
    "E031": "`send` where a handler cannot end.",
    "E032": "A status code that gRPC does not have, or that is no error.",
    "E033": "`rpc` used as a value.",
    "E034": "The message or the call used where there is none.",
    "E035": "A reply where there can be none, or used as a value.",
    # declarations
    "E040": "A decorator that does not exist, or a value it does not take.",
    "E041": "A parameter that the element does not have, or that is not given.",
    # warnings
    "W001": "A path through a handler that ends without `send`: it drops the RPC.",
    "W002": "A statement that cannot be reached.",
    "W003": "An integer division whose divisor may be 0: the result is then 0.",
    "W004": "State marked as shared or persistent that each processor instance keeps for itself, until it ends.",
    "W005": "A value that nothing uses.",
    "W006": "An operation that never has an effect, because a literal in it is out of range.",
}
