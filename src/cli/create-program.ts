import { Command } from 'commander';
import { registerAnalyze } from './commands/analyze.ts';
import { registerApply } from './commands/apply.ts';
import { registerBugReport } from './commands/bug-report.ts';
import { registerCa } from './commands/ca.ts';
import { registerCaptureRules } from './commands/capture-rules.ts';
import { registerCompletion } from './commands/completion.ts';
import { registerDelete } from './commands/delete.ts';
import { registerDescribe } from './commands/describe.ts';
import { registerDiff } from './commands/diff.ts';
import { registerDoctor } from './commands/doctor.ts';
import { registerDown } from './commands/down.ts';
import { registerEnvoyFilter } from './commands/envoyfilter.ts';
import { registerExplain } from './commands/explain.ts';
import { registerGet } from './commands/get.ts';
import { registerHistory } from './commands/history.ts';
import { registerLogs } from './commands/logs.ts';
import { registerLsp } from './commands/lsp.ts';
import { registerMeshConfig } from './commands/mesh-config.ts';
import { registerOpen } from './commands/open.ts';
import { registerPlan } from './commands/plan.ts';
import { registerPolicy } from './commands/policy.ts';
import { registerPrograms } from './commands/programs.ts';
import { registerProve } from './commands/prove.ts';
import { registerProxyConfig } from './commands/proxy-config.ts';
import { registerProxyStatus } from './commands/proxy-status.ts';
import { registerPs } from './commands/ps.ts';
import { registerRollback } from './commands/rollback.ts';
import { registerRun } from './commands/run.ts';
import { registerSchema } from './commands/schema.ts';
import { registerSecurity } from './commands/security.ts';
import { registerTest } from './commands/test.ts';
import { registerUp } from './commands/up.ts';
import { registerValidate } from './commands/validate.ts';
import { registerVersion } from './commands/version.ts';
import { exitCodes, exitCodesHelp } from './exit-codes.ts';

/** Every command of `ostria`. */
export function createProgram(): Command {
  const program = new Command('ostria')
    .description('A service mesh that speaks Istio’s APIs, drives stock Envoy and runs anywhere Node runs.')
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .showHelpAfterError('Run with --help for what it takes.')
    .exitOverride()
    .addHelpText(
      'after',
      `
Examples:
  ostria up -f samples/bookinfo/mesh.yaml --detach
  ostria apply -f reviews-v3.yaml
  ostria proxy-config routes productpage-v1-0
  ostria down

Exit codes: ostria help exit-codes`,
    );
  registerUp(program);
  registerDown(program);
  registerPs(program);
  registerLogs(program);
  registerRun(program);
  registerApply(program);
  registerDiff(program);
  registerHistory(program);
  registerRollback(program);
  registerAnalyze(program);
  registerExplain(program);
  registerPlan(program);
  registerProve(program);
  registerTest(program);
  registerGet(program);
  registerDelete(program);
  registerProxyStatus(program);
  registerMeshConfig(program);
  registerProxyConfig(program);
  registerPolicy(program);
  registerSecurity(program);
  registerDescribe(program);
  registerEnvoyFilter(program);
  registerValidate(program);
  registerDoctor(program);
  registerBugReport(program);
  registerOpen(program);
  registerCa(program);
  registerCaptureRules(program);
  registerLsp(program);
  registerSchema(program);
  registerVersion(program);
  registerCompletion(program);
  registerPrograms(program);
  registerHelp(program);
  for (const command of program.commands) {
    command.exitOverride();
    nameExitCodes(command);
  }
  return program;
}

/** Of every command that does something: where its exit codes are explained. */
function nameExitCodes(command: Command): void {
  if (command.commands.length === 0)
    command.addHelpText(
      'after',
      '\nExit codes: 0 when it is done as asked, others by what stands in the way (ostria help exit-codes).',
    );
  for (const one of command.commands) nameExitCodes(one);
}

/** `ostria help [command]`, and topics that are no command. */
function registerHelp(program: Command): void {
  program
    .helpCommand(false)
    .command('help')
    .summary('show help of a command, or the exit codes')
    .argument('[topic]', 'a command, or exit-codes')
    .action((topic?: string) => {
      if (topic === 'exit-codes') {
        process.stdout.write(exitCodesHelp);
        return;
      }
      const command =
        topic === undefined ? program : program.commands.find((candidate) => candidate.name() === topic);
      if (command) command.outputHelp();
      else {
        process.stderr.write(`there is no command ${topic}; ostria help lists them\n`);
        process.exitCode = exitCodes.usage;
      }
    });
}
