import { features } from '../features/index.ts';
import { createRoots } from './create-roots.ts';

/** The root collections of this build: what the engine keeps current for every proxy. */
export const roots = createRoots(features);
