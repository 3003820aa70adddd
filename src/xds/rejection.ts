import type { Resource } from '../snapshot/resource.ts';
import type { InFlight, RejectedResource, Trial, Watch } from './watch.ts';

/** Responses that may be spent on finding the bad resources of one that was rejected without naming them. */
const searchBudget = 48;
/** Of a client's message, what is kept. */
const messageLimit = 2_000;
/** Of the same, where names of resources are looked for. */
const namesLimit = 64 * 1024;
/** Envoy puts the whole resource, as text, before the constraint that it breaks. */
const dump = /goo\.gle\/debug\w+ [\s\S]*?(\n: |$)/g;

/** What a client says of a response, without the resources that it prints. */
export function essence(text: string): string {
  const short = text.slice(0, namesLimit).replaceAll(dump, '').trimEnd();
  // Envoy cuts its messages: of a large resource the reason behind it is gone.
  return short === '' && text !== '' ? 'a resource breaks a constraint; the log of Envoy says which' : short;
}

/**
 * Draws the consequences of a rejected response. Envoy may have taken some of its resources, so the state of each is unknown:
 * the good ones are sent again without the bad, and of the bad their last good version. The bad are those that the message
 * names; where it names none, halves of the response are tried until they are found.
 * `whole`: the response was a state of the world, and what it shares with the held state is beyond suspicion.
 * Returns the resources that are now known to be bad, without those that were sent once more and are refused as before.
 */
export function reject(
  watch: Watch,
  flight: InFlight,
  text: string,
  now: number,
  whole: boolean,
): RejectedResource[] {
  const message = essence(text).slice(0, messageLimit);
  const changed = flight.resources.filter(
    (resource) => !isRestored(flight, resource) && !(whole && watch.held.get(resource.name) === resource),
  );
  const budget = flight.trial?.budget ?? { left: searchBudget };
  budget.left--;
  const named = namedIn(text.slice(0, namesLimit), changed);
  if (named.length === 0 && changed.length > 1 && budget.left > 0) {
    const middle = changed.length >> 1;
    retry(watch, changed.slice(0, middle), [], [], budget);
    retry(watch, changed.slice(middle), flight.removed, [], budget);
    return [];
  }
  const bad = named.length > 0 ? named : changed;
  const rejected = bad
    .map((resource) => quarantine(watch, resource, message, now))
    .filter((found) => found !== undefined);
  const good = changed.filter((resource) => !bad.includes(resource));
  const restore = flight.trial?.restore.length
    ? []
    : bad.map((resource) => watch.held.get(resource.name)).filter((resource) => resource !== undefined);
  if (budget.left > 0) retry(watch, good, flight.removed, restore, budget);
  return rejected;
}

function isRestored(flight: InFlight, resource: Resource): boolean {
  return flight.trial?.restore.includes(resource) ?? false;
}

function retry(
  watch: Watch,
  resources: readonly Resource[],
  removed: readonly string[],
  restore: readonly Resource[],
  budget: Trial['budget'],
): void {
  if (resources.length + removed.length + restore.length === 0) return;
  watch.trials.push({ names: resources.map((resource) => resource.name), removed, restore, budget });
}

function quarantine(
  watch: Watch,
  resource: Resource,
  message: string,
  at: number,
): RejectedResource | undefined {
  const { name, version, origins } = resource;
  const before = watch.rejected.get(name);
  if (watch.retried.delete(name) && before?.version === version && before.message === message)
    return undefined;
  const rejected = { name, version, message, at, origins };
  watch.rejected.set(name, rejected);
  return rejected;
}

/**
 * The resources whose names a message holds, as Envoy writes them ("Error adding/updating cluster(s) a: …, b: …"). A name
 * inside a longer name that also occurs (`web` in `web-v2`) does not count.
 */
export function namedIn(message: string, resources: readonly Resource[]): Resource[] {
  let rest = message;
  const found: Resource[] = [];
  const byLength = [...resources].sort((a, b) => b.name.length - a.name.length);
  for (const resource of byLength) {
    if (resource.name === '' || !holdsName(rest, resource.name)) continue;
    found.push(resource);
    rest = rest.split(resource.name).join('\n');
  }
  return found.length > 0
    ? found
    : resources.filter(({ name }) => pathsIn(name).some((path) => holdsName(message, path)));
}

/**
 * A secret of files is called by their paths (src/plan/file-secret.ts), and of one that it cannot read Envoy names the file, or the
 * directory that is not there. Sent once more, such a secret is taken without a word: halves would not find it.
 */
function pathsIn(name: string): string[] {
  return name
    .split(/[:~]/)
    .filter((part) => part.startsWith('/'))
    .flatMap((path) => [path, path.slice(0, path.lastIndexOf('/') + 1)]);
}

function holdsName(text: string, name: string): boolean {
  for (let at = text.indexOf(name); at >= 0; at = text.indexOf(name, at + 1)) {
    const before = text[at - 1] ?? ' ';
    const after = text[at + name.length] ?? ' ';
    if (!isNamePart(before) && !isNamePart(after)) return true;
  }
  return false;
}

/** A dot or a colon may end a sentence or introduce the reason: they do not continue a name. */
function isNamePart(character: string): boolean {
  return /[A-Za-z0-9_|/-]/.test(character);
}
