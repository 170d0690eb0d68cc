import { writeFields } from '../../src/contract/event-fields.ts';
import { EVENTS, type EventName } from '../../src/contract/events.ts';
import type { Telemetry } from '../../src/core/ports/telemetry.ts';

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
      see({ name, fields });
    },
  };
}

/** For steps whose events a test does not look at; they are checked all the same. */
export const noTelemetry: Telemetry = telemetryTo(() => {});
