import type { JsonObject } from '../../../kit/json.ts';
import type { RequestContext } from '../context.ts';

/** A kind that is only ever created: its creation is a question, and the answer is its status. Nothing is stored. */
export interface VirtualResource {
  group: string;
  version: string;
  plural: string;
  kind: string;
  namespaced: boolean;
  answer: (context: RequestContext, body: JsonObject) => Promise<JsonObject>;
}
