import type { Report } from './report.ts';

/** What ours/check-cores.ts measures, as reports name it. */
export const CORES: Report['commands'] = [
  {
    id: 'core-ours',
    kind: 'core',
    title: 'check of ingest, in process',
    does: 'strict check, fields, ids',
    version: process.versions.node,
  },
  {
    id: 'core-check-line',
    kind: 'core',
    title: 'checkLine, in process',
    does: 'strict check, fields, ids',
    version: process.versions.node,
  },
  {
    id: 'core-json-parse',
    kind: 'core',
    title: 'JSON.parse per line, in process',
    does: 'strict check, fields, ids',
    version: process.versions.node,
  },
];
