import { createConnection } from 'vscode-languageserver/node';
import { analyzers } from '../../analyze/index.ts';
import { createBuiltInRegistry } from '../../config/kinds/built-in-kinds.ts';
import { createAdmitObject } from '../../control-plane/admit-object.ts';
import { roots } from '../../pipeline/roots.ts';
import { LanguageServer } from './language-server.ts';

/** A language server for the editor at the other end of two streams; it ends when the editor says so or closes them. */
export function serveEditor(
  input: NodeJS.ReadableStream,
  output: NodeJS.WritableStream,
  version: string,
): void {
  const kinds = createBuiltInRegistry();
  const admit = createAdmitObject(kinds);
  new LanguageServer(createConnection(input, output), {
    kinds,
    analyzers: analyzers.filter(({ byDefault }) => byDefault !== false),
    admit,
    roots: roots.collections,
    version,
  }).listen();
}
