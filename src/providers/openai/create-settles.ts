import { MINUTE_MS } from '../../contract/time.ts';
import type { CreateSettles } from '../../core/ports/provider-rules.ts';

/** The client gives up on a create after 2 minutes; how far a list may lag is ours, none is documented. */
export const CREATE_SETTLES: CreateSettles = { createMs: 3 * MINUTE_MS, listMs: 15 * MINUTE_MS };
