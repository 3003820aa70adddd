// `npm run generate`: rewrites everything under gen/ from the pinned modules. Twice gives the same bytes.
import { fileURLToPath } from 'node:url';
import { generateCrds } from './crd.ts';
import { generateKubernetes } from './kubernetes.ts';
import { generateProto } from './proto.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
console.log(`gen/proto: ${generateProto(root)} files`);
console.log(`gen/crd: ${generateCrds(root)} kinds`);
console.log(`gen/kubernetes: ${generateKubernetes(root)} messages`);
