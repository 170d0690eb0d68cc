/**
 * Removes requests whose custom_id an earlier line has from a plan's batches.
 *
 * What the pass over the lines gives are hashes that occur more than once, nearly always none. The manifests say which
 * lines have them; whether two lines have the same id, only the lines themselves can show, so both are read again. Of
 * lines with one id the first stays. Two ids that only share their hash both stay, but never in one batch, because the
 * results of a batch are joined by hash.
 *
 * Hashes are taken in *rounds* of as many as memory allows, ascending. A round finds its hashes, then looks at all
 * manifests twice: for the first line of each hash, then for the others. Ids that only share a hash are looked at again
 * in a further *level*, in which the first line that counts is the next one.
 *
 * The work may be interrupted anywhere: after some of the merge, after any manifest, after any line that is read again.
 * What is written has the same bytes under the same key however often it is done, and wherever it was interrupted.
 */
import type { PlannedBatch } from '../../files/plan.ts';
import type { DuplicatesDeps, DuplicatesState, FindStep, LevelStep } from './duplicates-state.ts';
import { FirstLines } from './first-lines.ts';
import { LevelPass } from './level-pass.ts';
import { findDuplicatedHashes } from './merge-ids.ts';
import { partShared } from './part-shared.ts';

/** Hashes of a round: 26 MB of tables. */
const HASHES_OF_A_ROUND = 500_000;

/** The state before any work. */
export function startDuplicates(batches: readonly PlannedBatch[]): DuplicatesState {
  return {
    batches: structuredClone([...batches]),
    runs: [],
    removed: 0,
    firstInvalid: {},
    round: 0,
    step: nothingFound(),
  };
}

/**
 * Continues from `state`, which it changes. However soon it is interrupted, it has got further.
 * @returns whether everything is done; if not, it was interrupted and `state` says where.
 */
export async function removeDuplicates(deps: DuplicatesDeps, state: DuplicatesState): Promise<boolean> {
  for (;;) {
    const { step } = state;
    if (step.name === 'find') {
      if ((await findHashes(deps, state, step)) === 'over') return false;
      if (step.found.length === 0) return true;
      state.step = firstLevel(step);
    } else if (step.name === 'level') {
      if (!(await new LevelPass(deps, state, step).run())) return false;
      state.step = afterLevel(state, step);
    } else {
      if (!(await partShared(deps, state, step))) return false;
      state.round++;
      state.step = nothingFound();
    }
  }
}

function nothingFound(): FindStep {
  return { name: 'find', found: new Uint8Array(0) };
}

function firstLevel({ found }: FindStep): LevelStep {
  const table = FirstLines.of(found);
  return { name: 'level', level: 0, table, met: 0, batch: 0, shared: [], sharedBefore: [] };
}

/** Hashes that a level found to be shared are looked at in a further one; at last those of all levels are parted. */
function afterLevel({ batches }: DuplicatesState, step: LevelStep): DuplicatesState['step'] {
  const { level, shared } = step;
  const allShared = [...step.sharedBefore, ...shared];
  if (shared.length === 0) {
    return {
      name: 'part',
      shared: allShared,
      batch: 0,
      batches: allShared.length === 0 ? 0 : batches.length,
    };
  }
  const table = FirstLines.after(shared);
  return { name: 'level', level: level + 1, table, met: 0, batch: 0, shared: [], sharedBefore: allShared };
}

async function findHashes(
  deps: DuplicatesDeps,
  state: DuplicatesState,
  step: FindStep,
): Promise<'all' | 'most' | 'over'> {
  const most = (deps.hashesOfARound ?? HASHES_OF_A_ROUND) - step.found.length / 8;
  const { words, merge, end } = await findDuplicatedHashes(deps.objects, deps.bucket, deps.ids, {
    from: state.merge,
    most,
    isOver: deps.isOver,
    looksEvery: deps.looksEvery,
  });
  const found = new Uint8Array(step.found.length + words.byteLength);
  found.set(step.found);
  found.set(new Uint8Array(words.buffer), step.found.length);
  step.found = found;
  state.merge = merge;
  return end;
}
