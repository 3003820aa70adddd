import { basename } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import {
  type CompletionItem,
  CompletionItemKind,
  type Connection,
  DiagnosticSeverity,
  FileChangeType,
  type Hover,
  type InitializeParams,
  type InitializeResult,
  InsertTextFormat,
  type Location,
  type Position,
  TextDocumentSyncKind,
  TextDocuments,
} from 'vscode-languageserver/node';
import { TextDocument } from 'vscode-languageserver-textdocument';
import type { Analyzer, SourceObject } from '../../analyze/analyzer.ts';
import type { Severity } from '../../analyze/severity.ts';
import type { Issue, KindRegistry } from '../../config/kind.ts';
import type { ConfigObject } from '../../config/object.ts';
import type { SchemaNode } from '../../config/schema/schema-node.ts';
import { type Completion, completeAt, completeFieldsAt, type EditorContext } from '../../editor/complete.ts';
import { type Diagnostic, diagnose } from '../../editor/diagnose.ts';
import { definitionsAt, hoverAt, ruleAt } from '../../editor/hover.ts';
import { ruleHover } from '../../editor/route-hover.ts';
import { Workspace } from '../../editor/workspace.ts';
import { createModel, type Model, type ModelOptions } from '../../model/model.ts';
import { objectsOfMesh } from '../analyze/mesh-file-objects.ts';
import { meshFileSchema } from '../mesh-file/mesh-file-schema.ts';
import { parseMeshFile } from '../mesh-file/parse-mesh-file.ts';
import { parseTestFile } from '../mesh-tests/read-test-file.ts';
import { testCompletionSchema } from '../mesh-tests/test-file-schema.ts';
import { readText, yamlFilesOf } from './workspace-files.ts';

export interface LanguageServerOptions {
  readonly kinds: KindRegistry;
  readonly analyzers: readonly Analyzer[];
  /** Schema, defaults and rules: the object as it would be stored, and what is wrong with it. */
  readonly admit: (object: ConfigObject) => {
    readonly object: ConfigObject;
    readonly issues: readonly Issue[];
  };
  /** What the features make of a mesh. */
  readonly roots: ModelOptions['roots'];
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
  #model: { readonly revision: number; readonly of: string; readonly value: Model } | undefined;
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
    connection.onHover(({ textDocument, position }) => this.#hover(textDocument.uri, position));
    connection.onDefinition(({ textDocument, position }) => this.#define(textDocument.uri, position));
    this.#documents.listen(connection);
    connection.listen();
  }

  #initialize({ workspaceFolders, rootUri }: InitializeParams): InitializeResult {
    const folders = workspaceFolders?.map(({ uri }) => uri) ?? (rootUri ? [rootUri] : []);
    for (const uri of folders)
      for (const path of uri.startsWith('file:') ? yamlFilesOf(fileURLToPath(uri)) : [])
        this.#set(path, readText(path));
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
    this.#set(pathOf(uri), text);
    if (this.#workspace.revision !== before) this.#diagnoseSoon();
  }

  /** A mesh file's services, gateways and pods are there for the routes of other files, as long as it can be read. */
  #set(path: string, text: string | undefined): void {
    const isNew = this.#workspace.text(path) !== text;
    this.#workspace.set(path, text);
    if (!isNew || !isMeshFile(path)) return;
    const result = text === undefined ? undefined : parseMeshFile(text, path, process.env);
    // While it is being typed, what it said before counts.
    if (!result) this.#workspace.describe(path, []);
    else if (result.ok)
      this.#workspace.describe(
        path,
        objectsOfMesh(result.mesh).map((object) => ({ object })),
      );
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
    const found = diagnose(this.#workspace, {
      analyzers: this.#options.analyzers,
      judge: (object) => this.#options.admit(object).issues,
      now: Date.now(),
    });
    const { paths } = this.#workspace;
    const meshFiles = paths.filter(isMeshFile).flatMap((path) => this.#meshFile(path));
    const testFiles = paths.filter(isTestFile).flatMap((path) => this.#testFile(path));
    const byPath = Map.groupBy([...found, ...meshFiles, ...testFiles], ({ path }) => path);
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
    return result.ok ? [] : diagnosticsOf(path, 'MeshFileInvalid', result.problems);
  }

  #testFile(path: string): Diagnostic[] {
    const { problems } = parseTestFile(path, this.#workspace.text(path) ?? '');
    return diagnosticsOf(path, 'TestFileInvalid', problems);
  }

  #hover(uri: string, { line, character }: Position): Hover | null {
    const text = this.#documents.get(uri)?.getText();
    const found = text === undefined ? undefined : hoverAt(text, line, character, this.#contextNow());
    if (text === undefined || !found) return null;
    const rule = ruleAt(text, line, character);
    const words = rule && ruleHover(this.#modelNow(pathOf(uri)), rule);
    return {
      contents: { kind: 'markdown', value: words ? `${words}\n\n---\n\n${found.text}` : found.text },
      range: { start: { line, character: found.from }, end: { line, character: found.to } },
    };
  }

  /** Objects that would not be admitted are no part of it: they are underlined. */
  #modelNow(path: string): Model {
    const { revision } = this.#workspace;
    const objects = this.#workspace.objects();
    // Of several files with one object (variants to choose from) the one that is looked at counts.
    const shadowed = shadowedBy(path, objects);
    const of = shadowed.size > 0 ? path : '';
    if (this.#model?.revision !== revision || this.#model.of !== of) {
      const sound = objects
        .filter((source) => !shadowed.has(source))
        .flatMap(({ object, positions }) => {
          const verdict = this.#options.admit(object);
          if (verdict.issues.some(({ severity }) => severity === 'error')) return [];
          return [{ object: verdict.object, ...(positions ? { positions } : {}) }];
        });
      this.#model = { revision, of, value: createModel(sound, { roots: this.#options.roots }) };
    }
    return this.#model.value;
  }

  #complete(uri: string, { line, character }: Position): CompletionItem[] {
    const text = this.#documents.get(uri)?.getText();
    if (text === undefined) return [];
    const path = pathOf(uri);
    const schema = isMeshFile(path) ? meshFileSchema : isTestFile(path) ? testCompletionSchema : undefined;
    const found = schema
      ? completeFieldsAt(text, line, character, schema as SchemaNode)
      : completeAt(text, line, character, this.#contextNow());
    if (!found) return [];
    const range = { start: { line, character: found.from }, end: { line, character: found.to } };
    return found.items.map((item) => toItem(item, range));
  }

  #define(uri: string, { line, character }: Position): Location[] {
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

/** What other files say of the objects of a file. */
function shadowedBy(path: string, objects: readonly SourceObject[]): ReadonlySet<SourceObject> {
  const idOf = ({ object }: SourceObject) =>
    `${object.kind} ${object.metadata?.namespace || 'default'}/${object.metadata?.name}`;
  const own = new Set(objects.filter(({ positions }) => positions?.file === path).map(idOf));
  return new Set(objects.filter((one) => one.positions?.file !== path && own.has(idOf(one))));
}

function isMeshFile(path: string): boolean {
  return /^mesh\.ya?ml$/.test(basename(path));
}

function isTestFile(path: string): boolean {
  return /\.mesh-test\.ya?ml$/.test(basename(path));
}

function diagnosticsOf(
  path: string,
  code: string,
  problems: readonly { readonly line: number; readonly column: number; readonly message: string }[],
): Diagnostic[] {
  return problems.map(({ line, column, message }) => ({
    path,
    line: line - 1,
    column: column - 1,
    end: column,
    severity: 'Error',
    code,
    message,
  }));
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
