import { readdirSync, readFileSync } from 'node:fs';

/** CPU seconds that a process has used, all threads, to the nanosecond where the kernel keeps it (schedstat), else in ticks. */
export function cpuSeconds(pid: number): number {
  try {
    let nanoseconds = 0;
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      const text = readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8');
      nanoseconds += Number(text.split(' ')[0]);
    }
    if (nanoseconds > 0) return nanoseconds / 1e9;
  } catch {
    // No schedstat on this kernel.
  }
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  const ticksPerSecond = 100;
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** Resident memory in MiB: now, and the highest so far. */
export function memoryMiB(pid: number): { readonly resident: number; readonly peak: number } {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): number =>
    Number(new RegExp(`${name}:\\s+(\\d+)`).exec(text)?.[1] ?? 0) / 1024;
  return { resident: round(field('VmRSS'), 1), peak: round(field('VmHWM'), 1) };
}

export function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
