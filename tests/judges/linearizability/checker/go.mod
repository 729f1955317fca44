// Makes calls through proxies that share state, and has the history of them checked.
module linearizability

go 1.26.0

require github.com/anishathalye/porcupine v1.3.1 // the checker: widely used, of one algorithm, and without dependencies
