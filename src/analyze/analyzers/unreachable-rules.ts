import { type AnalysisView, type Analyzer, type Item, kinds } from '../analyzer.ts';
import { type HttpConditions, matchCovers } from '../match-cover.ts';

interface Rule {
  readonly name?: string;
  readonly match?: readonly HttpConditions[];
  readonly delegate?: unknown;
}

interface VirtualServiceSpec {
  readonly gateways?: readonly string[];
  readonly http?: readonly Rule[];
}

/** An earlier match, and what its rule is called. */
interface Taken {
  readonly label: string;
  readonly match: HttpConditions;
}

/** Rules of a VirtualService are compared two by two: beyond this it would take seconds. */
const mostMatches = 2_000;

/** IST0130 and IST0131: HTTP rules and matches that a rule before them leaves nothing to. */
export const unreachableRuleAnalyzer: Analyzer = {
  name: 'virtualservice.UnreachableRuleAnalyzer',
  perObject: true,
  inputs: [kinds.virtualService],
  analyze: (view) => {
    for (const service of view.all<VirtualServiceSpec>(kinds.virtualService)) checkRules(view, service);
  },
};

function checkRules(view: AnalysisView, service: Item<VirtualServiceSpec>): void {
  const { http = [], gateways = ['mesh'] } = service.spec;
  const taken: Taken[] = [];
  for (const [index, rule] of http.entries()) {
    const matches: readonly HttpConditions[] = rule.match?.length ? rule.match : [{}];
    const covers = matches.map((match) =>
      taken.find((earlier) => matchCovers(earlier.match, match, gateways)),
    );
    const path = `spec.http[${index}]`;
    const label = `http[${index}]${rule.name ? ` (${rule.name})` : ''}`;
    const [first] = covers;
    if (first && covers.every((cover) => cover !== undefined)) {
      const message = `${label} is never reached: ${first.label} before it takes its requests; put it first, or make the match there narrower`;
      view.report('IST0130', service, message, path);
    } else {
      for (const [at, cover] of covers.entries()) {
        if (!cover) continue;
        const message = `match ${at} of ${label} has no effect: ${cover.label} before it takes its requests; remove it`;
        view.report('IST0131', service, message, `${path}.match[${at}]`);
      }
    }
    // What a delegate does not take goes on to the next rule.
    if (rule.delegate !== undefined || taken.length + matches.length > mostMatches) continue;
    for (const match of matches) taken.push({ label, match });
  }
}
