// Every command, whatever comes next: what its help says is there, and is true.
import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { completions } from './commands/completion.ts';
import { createProgram } from './create-program.ts';
import { splitCommand } from './mesh-file/split-command.ts';

/** Programs with flags and help of their own, and what is not for people. */
const others = new Set(['control-plane', 'agent', 'supervisor', '__complete', 'help']);

interface Leaf {
  readonly path: readonly string[];
  readonly command: Command;
}

function leavesOf(command: Command, path: readonly string[] = []): Leaf[] {
  const inner = command.commands.filter((one) => !others.has(one.name()));
  if (inner.length === 0) return [{ path, command }];
  return inner.flatMap((one) => leavesOf(one, [...path, one.name()]));
}

function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({
    writeOut: (part) => {
      text += part;
    },
  });
  command.outputHelp();
  return text;
}

const program = createProgram();
const leaves = leavesOf(program).map(({ path, command }) => [path.join(' '), path, command] as const);

test.each(leaves)('%s has a summary, a description, examples and exit codes', (_, path, command) => {
  const text = helpOf(command);
  expect(command.summary()).not.toBe('');
  expect(command.description()).not.toBe('');
  expect(text).toContain('Examples:');
  expect(text).toContain('ostria help exit-codes');
  expect(text).toContain(`ostria ${path[0]}`);
});

/** What prints no data, or data of one form: with the reason. */
const withoutOutput: Readonly<Record<string, string>> = {
  up: 'a supervisor: ostria ps shows what came of it',
  down: 'ends processes',
  run: 'the output is the command’s',
  apply: 'lines of what was done; ostria get shows objects',
  delete: 'lines of what was done',
  rollback: 'lines of what was done; ostria diff shows objects',
  open: 'the output is the command’s that it runs on a report',
  'ca rotate': 'begins something; ostria ca status shows it',
  lsp: 'speaks a protocol',
  schema: 'prints JSON',
  completion: 'prints a script',
  'capture-rules': 'prints rules for nft',
};

test.each(leaves)('%s prints data as JSON and YAML too', (name, path, command) => {
  const output = command.options.find(({ long }) => long === '--output');
  expect(output === undefined).toBe(name in withoutOutput);
  // Certificates have forms of their own.
  if (output && name !== 'ca bundle')
    expect(completions(createProgram(), [...path, '-o', ''])).toEqual(
      expect.arrayContaining(['json', 'yaml']),
    );
});

/** The lines below `Examples:` that run one command, as words. */
function examplesOf(command: Command): string[] {
  const [, text = ''] = helpOf(command).split('Examples:\n');
  return text.split('\n').filter((line) => /^ {2}(?:\S+=\S+ )*ostria /.test(line));
}

test.each(leaves)('the examples of %s are commands that are understood', async (_, path, command) => {
  const examples = examplesOf(command);
  expect(examples.length).toBeGreaterThan(0);
  for (const line of examples) {
    const [first = ''] = line.replace(/^.*?ostria /, '').split(/ [|#>]|<\(| && /);
    const words = splitCommand(first.trim());
    expect(words, line).toBeDefined();
    const fresh = createProgram();
    let ran: string[] | undefined;
    for (const { path: own, command: leaf } of leavesOf(fresh))
      leaf.action(() => {
        ran = [...own];
      });
    fresh.configureOutput({ writeErr: () => undefined });
    await expect(fresh.parseAsync(words ?? [], { from: 'user' }), line).resolves.toBeDefined();
    // Examples may show what goes before or comes after.
    expect(ran?.length, line).toBeGreaterThan(0);
  }
  expect(examples.some((line) => line.includes(`ostria ${path[0]}`))).toBe(true);
});
