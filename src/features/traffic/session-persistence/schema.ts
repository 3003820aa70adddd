import { defineSlot } from '../../../plan/slot.ts';

/** How a client's requests find the endpoint that answered it first. */
export interface SessionPlan {
  readonly type: 'cookie' | 'header';
  readonly name: string;
  /** Cookies only: milliseconds that the client keeps it; absent: until it ends its session. */
  readonly ttlMs?: number;
}

export const sessionSlot = defineSlot<SessionPlan>('session');

/** On filter chains: some route behind it keeps sessions. */
export const keepsSessionsSlot = defineSlot<true>('keepsSessions', { visible: false });
