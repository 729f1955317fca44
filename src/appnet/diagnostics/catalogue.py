"""Every code that a diagnostic can carry, and what it is told for. A code is never reused."""

from __future__ import annotations

CODES: dict[str, str] = {
    # --- elements ---
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
    "E027": "A key that stands twice in the literal of a Map.",
    # verdicts
    "E030": "A message sent the wrong way.",
    "E031": "`send` where a handler cannot end.",
    "E032": "A status code that gRPC does not have, or that is no error.",
    "E033": "`rpc` used as a value.",
    "E034": "The message or the call used where there is none.",
    "E035": "A reply where there can be none, or used as a value.",
    "E036": "A delay of something else than a request.",
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
    "W007": "A literal with more items or entries than the variable it is given to can hold.",
    # --- what stands around elements ---
    # text
    "C001": "A file that is not there or cannot be read as text.",
    "C002": "Text that is no YAML.",
    "C003": "A file with another number of YAML documents than one.",
    "C004": "A YAML key that is no text.",
    # structure
    "C010": "A key that an AppNetConfig does not have.",
    "C011": "A key that has to be there and is not.",
    "C012": "A value of another type than its key takes.",
    "C013": "A key that stands there twice.",
    "C014": "A document that is no AppNetConfig of this version.",
    "C015": "Two keys that say the same thing.",
    "C016": "A name that cannot be one.",
    "C017": "A value that has to be there and is empty.",
    "C018": "A file that is no specification of an application.",
    # processors
    "C020": "A processor that does not exist.",
    "C021": "A processor that AppNet knows and cannot run yet.",
    "C022": "A processor or method that is named twice.",
    "C023": "A position that does not exist.",
    "C024": "A transport that does not exist.",
    # chains
    "C030": "A configuration without any element.",
    "C031": "Two elements of one name.",
    "C032": "A chain without elements.",
    "C033": "A path that names no file.",
    "C034": "A placeholder that stands for nothing here.",
    "C035": "An element of a pair chain without its partner.",
    "C036": "An element of the client's side behind one of the server's.",
    # manifest
    "C040": "A service that the application manifest does not have.",
    "C041": "A client and a server that are the same service.",
    "C042": "A document of the application manifest that is no Kubernetes object.",
    "C043": "A service of the application manifest without a usable port.",
    "C044": "An edge that is not written as two services.",
    "C045": "An edge that the application's structure does not have.",
    "C046": "A method that two elements of an edge take from different .protos.",
    "C047": "A service whose proxies cannot be told from others.",
    "C048": "Two edges whose calls one proxy cannot tell apart.",
    "C049": "An element whose proxies have to be set up for it, which manifests do not do yet.",
    # .proto
    "C050": "A .proto that does not compile.",
    "C051": "A method that the .proto does not have, or no method at all.",
    "C052": "A method name that several services of the .proto have.",
    # behaviour files
    "C070": "A file that is no behaviour file.",
    "C071": "A step that is not one event, or that expects what cannot come of it.",
    "C072": "A step of a call that is not open, or a second request of one that is.",
    "C073": "A gRPC status code that does not exist.",
    "C074": "A field or metadata key that the message cannot have.",
    "C075": "A state variable that does not exist or cannot be looked at there.",
    "C076": "A capture that is none of Envoy's tap filter, or that holds a message that cannot be read.",
    # profiles of traffic
    "C080": "A file that is no profile.",
    "C081": "An element, edge or method of a profile that is not there.",
    "C082": "A share that is no number from 0 to 1, or a rate that is no number of RPCs per second.",
    # prices
    "C083": "A file that is no file of prices.",
    "C084": "A price that is no number of microseconds.",
    # running it
    "C061": "An application that has no programs for one machine.",
    "C062": "A change of the edge itself, which a running application cannot take.",
    "C063": "An element to be compiled without a method.",
    "C064": "An element that needs one worker, in a wasm proxy of several.",
    "C065": "A folder without code for any module.",
    "C066": "A folder for the output that holds something else.",
    "C067": "Hand-written code that does not compile.",
    "C068": "An element that replies, for wasm proxies.",
    "C069": "A field or a state variable in properties by hand that the element does not have.",
    "C085": "A file of code by hand that belongs to no module.",
    "C086": "A place that cannot be written.",
    # what a target gives up
    "N001": "A part of an element that each worker thread of a wasm proxy has for itself: it needs one worker.",
    "N002": "An element that means the same in a wasm proxy of any number of workers.",
}
