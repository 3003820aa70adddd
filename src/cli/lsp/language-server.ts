import { basename } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import {
  type CompletionItem,
  CompletionItemKind,
  type Connection,
  DiagnosticSeverity,
  FileChangeType,
  type InitializeParams,
  type InitializeResult,
  InsertTextFormat,
  type Location,
  TextDocumentSyncKind,
  TextDocuments,
} from 'vscode-languageserver/node';
import { TextDocument } from 'vscode-languageserver-textdocument';
import type { Analyzer } from '../../analyze/analyzer.ts';
import type { Severity } from '../../analyze/message.ts';
import type { Issue, KindRegistry } from '../../config/kind.ts';
import type { ConfigObject } from '../../config/object.ts';
import type { SchemaNode } from '../../config/schema/schema-node.ts';
import { type Completion, completeAt, completeFieldsAt, type EditorContext } from '../../editor/complete.ts';
import { type Diagnostic, diagnose } from '../../editor/diagnose.ts';
import { definitionsAt, hoverAt } from '../../editor/hover.ts';
import { Workspace } from '../../editor/workspace.ts';
import { meshFileSchema } from '../mesh-file/mesh-file-schema.ts';
import { parseMeshFile } from '../mesh-file/parse-mesh-file.ts';
import { readText, yamlFilesOf } from './workspace-files.ts';

export interface LanguageServerOptions {
  readonly kinds: KindRegistry;
  readonly analyzers: readonly Analyzer[];
  readonly judge: (object: ConfigObject) => readonly Issue[];
  readonly version: string;
}

/** Milliseconds without a keystroke after which the files are looked at. */
const quiet = 250;

const severities: Readonly<Record<Severity, DiagnosticSeverity>> = {
  Error: DiagnosticSeverity.Error,
  Warning: DiagnosticSeverity.Warning,
  Info: DiagnosticSeverity.Information,
};

/**
 * Speaks the Language Server Protocol on a connection: diagnostics of all files of the workspace taken as one mesh, completion,
 * hover and definitions. Reads files of the workspace's folders, runs nothing and connects to nothing.
 */
export class LanguageServer {
  readonly #connection: Connection;
  readonly #options: LanguageServerOptions;
  readonly #documents = new TextDocuments(TextDocument);
  readonly #workspace = new Workspace();
  #timer: NodeJS.Timeout | undefined;
  #told = new Set<string>();
  #context: { readonly revision: number; readonly value: EditorContext } | undefined;

  constructor(connection: Connection, options: LanguageServerOptions) {
    this.#connection = connection;
    this.#options = options;
  }

  /** Serves until the other side ends the connection. */
  listen(): void {
    const connection = this.#connection;
    connection.onInitialize((params) => this.#initialize(params));
    this.#documents.onDidChangeContent(({ document }) => this.#take(document.uri, document.getText()));
    this.#documents.onDidClose(({ document }) => this.#take(document.uri, textOnDisk(document.uri)));
    connection.onDidChangeWatchedFiles(({ changes }) => {
      for (const { uri, type } of changes)
        if (!this.#documents.get(uri))
          this.#take(uri, type === FileChangeType.Deleted ? undefined : textOnDisk(uri));
    });
    connection.onCompletion(({ textDocument, position }) => this.#complete(textDocument.uri, position));
    connection.onHover(({ textDocument, position }) => {
      const text = this.#documents.get(textDocument.uri)?.getText();
      const found = text && hoverAt(text, position.line, position.character, this.#contextNow());
      if (!found) return null;
      const { line } = position;
      return {
        contents: { kind: 'markdown', value: found.text },
        range: { start: { line, character: found.from }, end: { line, character: found.to } },
      };
    });
    connection.onDefinition(({ textDocument, position }) => this.#define(textDocument.uri, position));
    this.#documents.listen(connection);
    connection.listen();
  }

  #initialize({ workspaceFolders, rootUri }: InitializeParams): InitializeResult {
    const folders = workspaceFolders?.map(({ uri }) => uri) ?? (rootUri ? [rootUri] : []);
    for (const uri of folders)
      for (const path of uri.startsWith('file:') ? yamlFilesOf(fileURLToPath(uri)) : [])
        this.#workspace.set(path, readText(path));
    this.#diagnoseSoon();
    return {
      serverInfo: { name: 'ostria', version: this.#options.version },
      capabilities: {
        textDocumentSync: TextDocumentSyncKind.Incremental,
        completionProvider: { triggerCharacters: [' ', ':', '-', '/'] },
        hoverProvider: true,
        definitionProvider: true,
      },
    };
  }

  #take(uri: string, text: string | undefined): void {
    const before = this.#workspace.revision;
    this.#workspace.set(pathOf(uri), text);
    if (this.#workspace.revision !== before) this.#diagnoseSoon();
  }

  #contextNow(): EditorContext {
    const { revision } = this.#workspace;
    if (this.#context?.revision !== revision)
      this.#context = {
        revision,
        value: { kinds: this.#options.kinds, sources: this.#workspace.objects() },
      };
    return this.#context.value;
  }

  #diagnoseSoon(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#diagnose(), quiet);
  }

  #diagnose(): void {
    const found = diagnose(this.#workspace, { ...this.#options, now: Date.now() });
    const meshFiles = this.#workspace.paths.filter(isMeshFile).flatMap((path) => this.#meshFile(path));
    const byPath = Map.groupBy([...found, ...meshFiles], ({ path }) => path);
    const told = new Set(byPath.keys());
    for (const path of this.#told) if (!told.has(path)) byPath.set(path, []);
    this.#told = told;
    for (const [path, diagnostics] of byPath)
      void this.#connection.sendDiagnostics({
        uri: pathToFileURL(path).href,
        diagnostics: diagnostics.map(toProtocol),
      });
  }

  /** `mesh.yaml` has a reader of its own. Variables are those of the user who starts the mesh: here each has some text. */
  #meshFile(path: string): Diagnostic[] {
    const result = parseMeshFile(this.#workspace.text(path) ?? '', path, process.env);
    if (result.ok) return [];
    return result.problems.map(({ line, column, message }) => ({
      path,
      line: line - 1,
      column: column - 1,
      end: column,
      severity: 'Error',
      code: 'MeshFileInvalid',
      message,
    }));
  }

  #complete(uri: string, { line, character }: { line: number; character: number }): CompletionItem[] {
    const text = this.#documents.get(uri)?.getText();
    if (text === undefined) return [];
    const found = isMeshFile(pathOf(uri))
      ? completeFieldsAt(text, line, character, meshFileSchema as SchemaNode)
      : completeAt(text, line, character, this.#contextNow());
    if (!found) return [];
    const range = { start: { line, character: found.from }, end: { line, character: found.to } };
    return found.items.map((item) => toItem(item, range));
  }

  #define(uri: string, { line, character }: { line: number; character: number }): Location[] {
    const text = this.#documents.get(uri)?.getText();
    if (text === undefined) return [];
    return definitionsAt(text, line, character, this.#contextNow()).flatMap(({ source, path }) => {
      const position = source?.positions?.at(path ?? '');
      if (!position) return [];
      const start = { line: position.line - 1, character: position.column - 1 };
      return [{ uri: pathToFileURL(position.file).href, range: { start, end: start } }];
    });
  }
}

function isMeshFile(path: string): boolean {
  return /^mesh\.ya?ml$/.test(basename(path));
}

/** Documents that are no files (a tab that was never saved) have their address for a name. */
function pathOf(uri: string): string {
  return uri.startsWith('file:') ? fileURLToPath(uri) : uri;
}

function textOnDisk(uri: string): string | undefined {
  return uri.startsWith('file:') ? readText(fileURLToPath(uri)) : undefined;
}

function toProtocol({ line, column, end, severity, code, message }: Diagnostic) {
  return {
    range: { start: { line, character: column }, end: { line, character: end } },
    severity: severities[severity],
    code,
    source: 'ostria',
    message,
  };
}

const itemKinds: Readonly<Record<Completion['sort'], CompletionItemKind>> = {
  field: CompletionItemKind.Field,
  value: CompletionItemKind.Value,
  reference: CompletionItemKind.Reference,
};

function toItem(item: Completion, range: Location['range']): CompletionItem {
  return {
    label: item.label,
    kind: itemKinds[item.sort],
    detail: item.detail,
    ...(item.documentation ? { documentation: item.documentation } : {}),
    sortText: `${item.wanted ? 0 : 1}${item.label}`,
    insertTextFormat: InsertTextFormat.Snippet,
    textEdit: { range, newText: item.sort === 'field' ? item.insert : item.insert.replaceAll('$', '\\$') },
  };
}
