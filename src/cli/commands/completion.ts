import { type Command, Option } from 'commander';
import { CodedError } from '../../kit/coded-error.ts';
import { argumentWords, flagWords } from '../completion/argument-words.ts';

const shells = ['bash', 'zsh', 'fish'] as const;

export function registerCompletion(program: Command): void {
  program
    .command('completion')
    .summary('print a script for shell completion')
    .description('Prints a script that completes commands and flags in a shell.')
    .argument('<shell>', shells.join(', '))
    .addHelpText(
      'after',
      `
Examples:
  source <(ostria completion bash)
  source <(ostria completion zsh)
  ostria completion fish > ~/.config/fish/completions/ostria.fish`,
    )
    .action((shell: string) => {
      const script = { bash: bashScript, zsh: zshScript, fish: fishScript }[shell];
      if (!script)
        throw new CodedError(
          'UsageInvalid',
          `completion for ${shell} is not known; it can be ${shells.join(', ')}`,
        );
      process.stdout.write(script);
    });
  // What the scripts call: prints the words that can come next.
  program
    .command('__complete', { hidden: true })
    .argument('[words...]')
    .allowUnknownOption()
    .passThroughOptions()
    .helpOption(false)
    .action((words: string[]) => {
      for (const word of completions(program, words)) process.stdout.write(`${word}\n`);
    });
}

/** Words that can follow: `words` is the command line after `ostria`, its last element the (possibly empty) word being typed. */
export function completions(program: Command, words: readonly string[]): string[] {
  const typed = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  const { command, path, given } = walk(program, before);
  const last = before.at(-1) ?? '';
  const option = command.options.find(({ short, long }) => last !== '' && (short === last || long === last));
  // The value of a flag: only known where it is one of a few.
  if (option && (option.required || option.optional))
    return flagWords(option).filter((choice) => choice.startsWith(typed));
  if (typed.startsWith('-'))
    return [...command.options, new Option('--help')]
      .filter(({ hidden }) => !hidden)
      .flatMap(({ long }) => long ?? [])
      .filter((flag) => flag.startsWith(typed));
  const mesh = before[before.indexOf('--mesh') + 1];
  const known = argumentWords(path, given, before.includes('--mesh') ? mesh : undefined);
  return [...command.commands.filter(isShown).map((candidate) => candidate.name()), ...known].filter((name) =>
    name.startsWith(typed),
  );
}

/** Programs that others start are no commands of people. */
function isShown(command: Command): boolean {
  return !command.name().startsWith('_') && command.name() !== 'supervisor';
}

/** The command that some words lead to, its names one behind the other, and the arguments that it was given. */
function walk(
  program: Command,
  words: readonly string[],
): { command: Command; path: string; given: readonly string[] } {
  let command = program;
  const names: string[] = [];
  const given: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    const next = command.commands.find((one) => one.name() === word || one.aliases().includes(word));
    if (next) {
      command = next;
      names.push(next.name());
      continue;
    }
    const option = command.options.find(({ short, long }) => short === word || long === word);
    if (option) at += option.required || option.optional ? 1 : 0;
    else if (!word.startsWith('-')) given.push(word);
  }
  return { command, path: names.join(' '), given };
}

const bashScript = `# bash completion for ostria
_ostria() {
  local IFS=$'\\n'
  local words=("\${COMP_WORDS[@]:1:COMP_CWORD}")
  COMPREPLY=($(ostria __complete -- "\${words[@]}" 2>/dev/null))
  [ \${#COMPREPLY[@]} -eq 0 ] && COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o filenames -F _ostria ostria
`;

const zshScript = `#compdef ostria
_ostria() {
  local -a replies
  replies=("\${(@f)$(ostria __complete -- "\${words[@]:1:$((CURRENT-1))}" 2>/dev/null)}")
  if [[ -n "\${replies[1]}" ]]; then compadd -- "\${replies[@]}"; else _files; fi
}
compdef _ostria ostria
`;

const fishScript = `# fish completion for ostria
function __ostria_complete
  set -l words (commandline -opc) (commandline -ct)
  ostria __complete -- $words[2..-1] 2>/dev/null
end
complete -c ostria -a '(__ostria_complete)'
`;
