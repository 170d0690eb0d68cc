/**
 * What tools that OpenAI runs cost by the call, on top of tokens: the same in every tier, batch and flex included. That
 * batch does not halve them: OpenAI's help, and reports of users.
 */

import { fromUsd, type Picodollars } from '../../../core/base/money.ts';
import type { CallFee } from '../../../core/model/price-table.ts';
import type { ToolUse } from '../../../core/model/tool-use.ts';

const READ = {
  source: 'https://developers.openai.com/api/docs/pricing, "Built-in tools", as modelcostwatch.com quotes it',
  retrieved: '2026-03-12',
};

const WEB_SEARCH: CallFee = { tool: 'web search', usdPerThousand: '10', unit: 'call', ...READ };
/** The preview tool by models that do not reason; by others it costs what web search does. */
const PREVIEW_SEARCH: CallFee = {
  tool: 'web search preview',
  // Models that do not reason. Source: the model pages of gpt-4o and gpt-4.1.
  models: { name: 'gpt-4o and gpt-4.1', pattern: /^(ft:)?gpt-(4o|4\.1)/ },
  usdPerThousand: '25',
  unit: 'call',
  ...READ,
};
const FILE_SEARCH: CallFee = { tool: 'file search', usdPerThousand: '2.5', unit: 'call', ...READ };

/** All of them, also those of which answers do not report what is charged. */
export const CALL_FEES: readonly CallFee[] = [
  WEB_SEARCH,
  PREVIEW_SEARCH,
  FILE_SEARCH,
  {
    tool: 'code interpreter and shell',
    unit: 'minute of a container, which answers do not report',
    source: "OpenAI's changelog of 2026-06-02",
    retrieved: '2026-11-29',
  },
];

const THOUSAND = 1_000n;
const perCall = ({ usdPerThousand }: CallFee): Picodollars => fromUsd(usdPerThousand!)! / THOUSAND;
const FEES = {
  webSearch: perCall(WEB_SEARCH),
  previewSearch: perCall(PREVIEW_SEARCH),
  fileSearch: perCall(FILE_SEARCH),
};

/** What the calls of tools cost whose price is known. @param model that made them. */
export function toolFeeOf({ webSearches, isPreview, fileSearches }: ToolUse, model: string): Picodollars {
  if (webSearches === 0 && fileSearches === 0) return 0n;
  const search =
    isPreview && PREVIEW_SEARCH.models!.pattern.test(model) ? FEES.previewSearch : FEES.webSearch;
  return BigInt(webSearches) * search + BigInt(fileSearches) * FEES.fileSearch;
}
