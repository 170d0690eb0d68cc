import type { EventFields, EventName } from '../../contract/events.ts';

/** What a step reports: events of the table in src/contract/events.ts, and nothing else. */
export interface Telemetry {
  /** Never throws; a field of the wrong kind is withheld. */
  record<Name extends EventName>(name: Name, fields: EventFields<Name>): void;
}
