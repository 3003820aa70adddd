import { clone, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import type { ApplyTo } from '../../../config/envoy-value/patch-types.ts';
import { mergeMessage } from './merge.ts';
import type { Operation, Patch } from './schema.ts';

/** The patches that concern one resource, and which of them had an effect. */
export interface PatchRun {
  readonly patches: readonly Patch[];
  readonly applied: Set<string>;
}

export function startRun(patches: readonly Patch[]): PatchRun {
  return { patches, applied: new Set() };
}

/** The patches of one sort, in order. */
export function ofSort(run: PatchRun, applyTo: ApplyTo): Patch[] {
  return run.patches.filter((patch) => patch.applyTo === applyTo);
}

export function isMerge(operation: Operation): boolean {
  return operation === 'MERGE' || operation === 'MERGE_AND_REPLACE_LIST';
}

/** Merges a patch's value into a message in place. */
export function mergeValue<D extends DescMessage>(schema: D, target: MessageShape<D>, patch: Patch): void {
  if (!patch.value) return;
  mergeMessage(schema, target, patch.value as MessageShape<D>, {
    replaceLists: patch.operation === 'MERGE_AND_REPLACE_LIST',
  });
}

/** A copy of a patch's value: values are shared by everything that they change. */
export function valueCopy<D extends DescMessage>(schema: D, patch: Patch): MessageShape<D> | undefined {
  return patch.value && clone(schema, patch.value as MessageShape<D>);
}
