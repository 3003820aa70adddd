import type { Question } from '../explain/question.ts';
import type { Model } from '../model/model.ts';
import type { Journey } from '../request-space/journey.ts';
import type { RequestOutcome } from '../request-space/outcome.ts';
import type { Expectation } from './expectation.ts';

/** What a check looks at. */
export interface Checked {
  readonly model: Model;
  readonly question: Question;
  readonly journey: Journey;
  readonly outcome: RequestOutcome;
}

/** One thing that is not as expected. */
export interface Mismatch {
  readonly field: keyof Expectation | 'request';
  readonly expected: string;
  readonly actual: string;
}
