import type { ApiLimits } from '../limits.ts';
import { tooManyRequests } from '../status.ts';

/** Bounds what is under way, in all and per user, so that one client cannot starve the others. */
export function createFlightControl(limits: ApiLimits) {
  const requests = counter(limits.requests, limits.requestsPerUser, 'requests');
  const watches = counter(limits.watches, limits.watchesPerUser, 'watches');
  return {
    /** Counts one in; the function that counts it out. Throws 429 when there are too many. */
    enter: (kind: 'request' | 'watch', user: string) => (kind === 'watch' ? watches : requests)(user),
  };
}

function counter(total: number, perUser: number, what: string): (user: string) => () => void {
  let all = 0;
  const users = new Map<string, number>();
  return (user) => {
    const own = users.get(user) ?? 0;
    if (all >= total) throw tooManyRequests(`too many ${what} under way (${total}), please try again later`);
    if (own >= perUser)
      throw tooManyRequests(
        `too many ${what} of user "${user}" under way (${perUser}), please try again later`,
      );
    all++;
    users.set(user, own + 1);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      all--;
      const now = (users.get(user) ?? 1) - 1;
      if (now === 0) users.delete(user);
      else users.set(user, now);
    };
  };
}
