/**
 * Node's HTTP/1 module, without what `import 'node:http'` brings along: to make the names of an imported module Node reads all of
 * its properties, among them the getters behind which it keeps its WebSocket and fetch. That costs a process 16 MB and 30 ms of CPU
 * (Node 26). Types are imported from `node:http` as ever.
 */
export const http = process.getBuiltinModule('node:http');
