import { RE2JS } from 're2js';
import type { RedirectAction, Route } from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';

/** The path that a redirect sends to, with the query of the call. */
export function redirectedPath(redirect: RedirectAction, route: Route, target: string): string {
  const { pathRewriteSpecifier: rewrite } = redirect;
  const at = target.indexOf('?');
  const path = at < 0 ? target : target.slice(0, at);
  const query = at < 0 ? '' : target.slice(at);
  switch (rewrite.case) {
    case 'pathRedirect':
      return rewrite.value;
    case 'prefixRewrite': {
      const { pathSpecifier: match } = route.match ?? { pathSpecifier: { case: undefined } };
      const prefix = match.case === 'prefix' || match.case === 'pathSeparatedPrefix' ? match.value : path;
      return `${rewrite.value}${path.slice(prefix.length)}${query}`;
    }
    case 'regexRewrite': {
      // Envoy's `\\1` is `$1` here, and a `$` of its own stands for itself.
      const substitution = rewrite.value.substitution.replaceAll('$', '$$$$').replace(/\\(\d)/g, '$$$1');
      return `${RE2JS.compile(rewrite.value.pattern?.regex ?? '')
        .matcher(path)
        .replaceAll(substitution)}${query}`;
    }
    default:
      return target;
  }
}
