import type { Command } from 'commander';
import { ostriaVersion } from '../programs.ts';

export function registerLsp(program: Command): void {
  program
    .command('lsp')
    .summary('language server for editors')
    .description(
      'Speaks the Language Server Protocol on standard input and output: mistakes of all files of the workspace taken as one mesh while you type, completion of fields, hosts, subsets and gateways, hover texts, and definitions. Editors start it; docs/guides/editors.md shows how.',
    )
    .option('--stdio', 'speak on standard input and output (the only way, and the default)')
    .addHelpText(
      'after',
      `
Examples:
  ostria lsp
  vim.lsp.config('ostria', { cmd = { 'ostria', 'lsp' }, filetypes = { 'yaml' } })   (Neovim)`,
    )
    .action(async () => {
      // Loaded where it is needed only: the kinds are most of a control plane.
      const { serveEditor } = await import('../lsp/serve-editor.ts');
      serveEditor(process.stdin, process.stdout, ostriaVersion());
    });
}
