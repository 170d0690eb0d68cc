import { join, relative } from 'node:path';
import { afterAll, beforeAll, expect, type RunnerTask } from 'vitest';
import { writeFields } from '../../src/contract/event-fields.ts';
import { EVENTS, type EventName } from '../../src/contract/events.ts';
import type { Telemetry } from '../../src/core/ports/telemetry.ts';
import { RECORDED_BY } from './recorded-by.ts';

const ROOT = join(import.meta.dirname, '../..');

/** An event as a test sees it: what would be written of it. */
export interface SeenEvent {
  name: EventName;
  fields: Record<string, unknown>;
}

/**
 * Telemetry that passes each event on.
 * @throws Error where a field is not of its kind: the pipeline would write it as withheld.
 */
export function telemetryTo(see: (event: SeenEvent) => void): Telemetry {
  return {
    record: (name, values) => {
      const { fields, problems } = writeFields(EVENTS[name].fields, values);
      if (problems.length > 0) throw new Error(`event ${name}: ${problems.join('; ')}`);
      noteRecorded(name);
      see({ name, fields });
    },
  };
}

/** Since the first test of the file that runs now: a worker runs one file after the other. */
const recorded = new Set<EventName>();

/** For telemetry of a test's own. */
export function noteRecorded(name: EventName): void {
  recorded.add(name);
}

/**
 * Checks, after the tests of a file, that they made the pipeline record each event that {@link RECORDED_BY} lists for
 * it. Only where all of them ran and passed: one test alone need not record what the others do.
 * @param file `import.meta.filename` of the file.
 */
export function expectListedEvents(file: string): void {
  const path = relative(ROOT, file).replaceAll('\\', '/');
  beforeAll(() => recorded.clear());
  // biome-ignore lint/correctness/noEmptyPattern: Vitest takes no other first parameter
  afterAll(({}, suite) => {
    if (suite.tasks.every(hasPassed))
      expect(
        RECORDED_BY[path]?.filter((name) => !recorded.has(name)),
        `not recorded by ${path}`,
      ).toEqual([]);
  });
}

function hasPassed(task: RunnerTask): boolean {
  return task.type === 'suite' ? task.tasks.every(hasPassed) : task.result?.state === 'pass';
}

/** For steps whose events a test does not look at; they are checked all the same. */
export const noTelemetry: Telemetry = telemetryTo(() => {});
