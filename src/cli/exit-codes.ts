import { CodedError } from '../kit/coded-error.ts';
import { ApiError } from './api/api-client.ts';

/** Exit codes, documented by `ostria help exit-codes`. Stable: scripts rely on them. */
export const exitCodes = {
  ok: 0,
  failure: 1,
  usage: 2,
  invalidInput: 3,
  notFound: 4,
  conflict: 5,
  refused: 6,
  unreachable: 7,
  timeout: 8,
  rejected: 9,
  rolledBack: 10,
  negative: 11,
  changes: 12,
  unknown: 13,
  diffFailed: 14,
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

export const exitCodesHelp = `Exit codes of ostria

  0    done as asked
  1    it failed for a reason that has no code of its own
  2    wrong usage: an unknown command or flag, or an argument that makes no sense
  3    invalid input: a file or an object that does not pass its checks; nothing was changed by it
  4    not found: the object, workload, mesh or file that was named does not exist
  5    conflict: a port is in use, a name is taken, or another field manager owns a field
  6    refused: the API server does not allow it to this user
  7    unreachable: no running mesh, or the API server does not answer
  8    it did not become ready in time
  9    rejected: a proxy, or the compile for it, does not take what was applied; it is in force elsewhere
  10   rolled back: what was applied was rejected or failed its conditions, and what was there before is back
  11   no: the answer to what was asked is a negative one (explain: the request is refused or fails; prove: it is not so)
  12   changes: requests would come out differently (plan)
  13   unknown: the search was cut before everything was looked at (plan, prove), or nothing declares the host that is called (explain)
  130  interrupted with Ctrl-C

ostria diff ends with 1 where something differs, and with 14 where it failed for a reason that has no code of its own.
ostria run ends with the exit code of the command that it ran.
`;

const byCode: Readonly<Record<string, ExitCode>> = {
  MeshFileInvalid: 3,
  TestFileInvalid: 3,
  PortBaseInvalid: 2,
  UsageInvalid: 2,
  TooManyFiles: 2,
  ResourceUnknown: 2,
  OptionInvalid: 2,
  UrlNotRead: 2,
  ReportInvalid: 3,
  FileNotFound: 4,
  MeshUnknown: 4,
  ObjectUnknown: 4,
  HistoryTooShort: 4,
  HistoryUnavailable: 4,
  DiffFailed: 14,
  WorkloadUnknown: 4,
  CallerUnknown: 4,
  ServiceUnknown: 4,
  UrlInvalid: 2,
  IdentityInvalid: 2,
  LiveUnavailable: 2,
  ObjectInvalid: 3,
  NothingObserved: 4,
  PortInUse: 5,
  NameTaken: 5,
  MeshNotRunning: 7,
  ApiUnreachable: 7,
  SupervisorUnreachable: 7,
  NotReadyInTime: 8,
  Interrupted: 130,
};

/** The exit code that an error asks for. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof ApiError) {
    if (error.status === 404 || error.status === 410) return exitCodes.notFound;
    if (error.status === 401 || error.status === 403) return exitCodes.refused;
    if (error.status === 409) return exitCodes.conflict;
    if (error.status === 400 || error.status === 422) return exitCodes.invalidInput;
    return exitCodes.failure;
  }
  return error instanceof CodedError ? (byCode[error.code] ?? exitCodes.failure) : exitCodes.failure;
}
