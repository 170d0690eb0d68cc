/**
 * OpenAI's prices, as data: a new price is a new row, and the row that it takes the place of gets a last day.
 *
 * USD per million tokens as OpenAI's page "Pricing" lists them, except where the page rounds (half of $0.25 is listed
 * as $0.13, half of $0.275 as $0.138). Short context is up to 272,000 input tokens of a request, long is more. A dash
 * says that there is no such rate: cached tokens and cache writes are then billed as other input; without a long
 * column, the short price holds at any length that the model takes.
 */
import type { PriceTable } from '../../../core/model/price-table.ts';
import { type PriceBlock, readBlock } from './blocks.ts';
import { pricedNamesOf } from './names.ts';
import { CALL_FEES } from './tool-fees.ts';

const PAGE = 'https://developers.openai.com/api/docs/pricing';
const LATE_SEPTEMBER = { source: PAGE, retrieved: '2026-09-26' };
const EARLY_SEPTEMBER = { source: PAGE, retrieved: '2026-09-05' };

/** Blocks of rows. No two rows of one model, tier and length hold on the same day. */
const PRICE_BLOCKS: readonly PriceBlock[] = [
  {
    tier: 'standard',
    ...LATE_SEPTEMBER,
    rows: `
      gpt-6-astra             10     1      12.5   50     20    2     25    75     from 2026-09-03
      gpt-6-sol               2      .2     2.5    10     4     .4    5     15     from 2026-09-22
      gpt-6-luna              .1     .01    .125   .5     .2    .02   .25   .75    from 2026-09-22
      gpt-5.6-sol             4      .4     5      20     8     .8    10    30     from 2026-08-21 to 2026-11-21
      gpt-5.6-terra           2      .2     2.5    12     4     .4    5     18     from 2026-07-30
      gpt-5.6-luna            .2     .02    .25    1.2    .4    .04   .5    1.8    from 2026-07-30
      gpt-5.5                 5      .5     -      30     10    1     -     45
      gpt-5.5-pro             30     -      -      180    60    -     -     270
      gpt-5.4                 2.5    .25    -      15     5     .5    -     22.5
      gpt-5.4-mini            .75    .075   -      4.5
      gpt-5.4-nano            .2     .02    -      1.25
      gpt-5.4-pro             30     -      -      180    60    -     -     270
      gpt-5.2                 1.75   .175   -      14
      gpt-5.2-pro             21     -      -      168
      gpt-5.1                 1.25   .125   -      10
      gpt-5                   1.25   .125   -      10
      gpt-5-mini              .25    .025   -      2
      gpt-5-nano              .05    .005   -      .4
      gpt-5-pro               15     -      -      120
      gpt-4.1                 2      .5     -      8
      gpt-4.1-mini            .4     .1     -      1.6
      gpt-4.1-nano            .1     .025   -      .4
      gpt-4o                  2.5    1.25   -      10
      gpt-4o-2024-05-13       5      -      -      15
      gpt-4o-mini             .15    .075   -      .6
      o1                      15     7.5    -      60
      o1-pro                  150    -      -      600
      o3-pro                  20     -      -      80
      o3                      2      .5     -      8
      o4-mini                 1.1    .275   -      4.4
      o3-mini                 1.1    .55    -      4.4
      gpt-4-turbo-2024-04-09  10     -      -      30
      gpt-4-0613              30     -      -      60
      gpt-3.5-turbo           .5     -      -      1.5
      gpt-3.5-turbo-0125      .5     -      -      1.5
      gpt-3.5-turbo-1106      1      -      -      2
      gpt-3.5-turbo-instruct  1.5    -      -      2
      davinci-002             2      -      -      2
      babbage-002             .4     -      -      .4`,
  },
  {
    tier: 'batch',
    ...LATE_SEPTEMBER,
    rows: `
      gpt-6-astra             5      .5     6.25   25     10    1     12.5  37.5   from 2026-09-03
      gpt-6-sol               1      .1     1.25   5      2     .2    2.5   7.5    from 2026-09-22
      gpt-6-luna              .05    .005   .0625  .25    .1    .01   .125  .375   from 2026-09-22
      gpt-5.6-sol             2      .2     2.5    10     4     .4    5     15     from 2026-08-21 to 2026-11-21
      gpt-5.6-terra           1      .1     1.25   6      2     .2    2.5   9      from 2026-07-30
      gpt-5.6-luna            .1     .01    .125   .6     .2    .02   .25   .9     from 2026-07-30
      gpt-5.5                 2.5    .25    -      15     5     .5    -     22.5
      gpt-5.5-pro             15     -      -      90     x     x     x     x
      gpt-5.4                 1.25   .125   -      7.5    2.5   .25   -     11.25
      gpt-5.4-mini            .375   .0375  -      2.25
      gpt-5.4-nano            .1     .01    -      .625
      gpt-5.4-pro             15     -      -      90     30    -     -     135
      gpt-5.2                 .875   .0875  -      7
      gpt-5.2-pro             10.5   -      -      84
      gpt-5.1                 .625   .0625  -      5
      gpt-5                   .625   .0625  -      5
      gpt-5-mini              .125   .0125  -      1
      gpt-5-nano              .025   .0025  -      .2
      gpt-5-pro               7.5    -      -      60
      gpt-4.1                 1      -      -      4
      gpt-4.1-mini            .2     -      -      .8
      gpt-4.1-nano            .05    -      -      .2
      gpt-4o                  1.25   -      -      5
      gpt-4o-2024-05-13       2.5    -      -      7.5
      gpt-4o-mini             .075   -      -      .3
      o1                      7.5    -      -      30
      o1-pro                  75     -      -      300
      o3-pro                  10     -      -      40
      o3                      1      -      -      4
      o4-mini                 .55    -      -      2.2
      o3-mini                 .55    -      -      2.2
      gpt-4-turbo-2024-04-09  5      -      -      15
      gpt-4-0613              15     -      -      30
      gpt-3.5-turbo-0125      .25    -      -      .75
      gpt-3.5-turbo-1106      1      -      -      2
      davinci-002             1      -      -      1
      babbage-002             .2     -      -      .2`,
  },
  {
    tier: 'flex',
    ...EARLY_SEPTEMBER,
    rows: `
      gpt-6-astra             5      .5     6.25   25     10    1     12.5  37.5   from 2026-09-03
      gpt-5.6-sol             2      .2     2.5    10     4     .4    5     15     from 2026-08-21 to 2026-11-21
      gpt-5.6-terra           1      .1     1.25   6      2     .2    2.5   9      from 2026-07-30
      gpt-5.6-luna            .1     .01    .125   .6     .2    .02   .25   .9     from 2026-07-30
      gpt-5.5                 2.5    .25    -      15     5     .5    -     22.5
      gpt-5.5-pro             15     -      -      90     x     x     x     x
      gpt-5.4                 1.25   .125   -      7.5    2.5   .25   -     11.25
      gpt-5.4-mini            .375   .0375  -      2.25
      gpt-5.4-nano            .1     .01    -      .625
      gpt-5.4-pro             15     -      -      90     30    -     -     135
      gpt-5.2                 .875   .0875  -      7
      gpt-5.1                 .625   .0625  -      5
      gpt-5                   .625   .0625  -      5
      gpt-5-mini              .125   .0125  -      1
      gpt-5-nano              .025   .0025  -      .2
      o3                      1      .25    -      4
      o4-mini                 .55    .1375  -      2.2`,
  },
  {
    // "Fast mode" since 2026-07-30; `service_tier` may still say "priority".
    tier: 'priority',
    ...EARLY_SEPTEMBER,
    rows: `
      gpt-6-astra             20     2      25     100    40    4     50    150    from 2026-09-03
      gpt-5.6-sol             8      .8     10     40     16    1.6   20    60     from 2026-08-21 to 2026-11-21
      gpt-5.6-terra           4      .4     5      24     8     .8    10    36     from 2026-07-30
      gpt-5.6-luna            .4     .04    .5     2.4    .8    .08   1     3.6    from 2026-07-30
      gpt-5.5                 12.5   1.25   -      75     x     x     x     x
      gpt-5.4                 5      .5     -      30     x     x     x     x
      gpt-5.4-mini            1.5    .15    -      9
      gpt-5.2                 3.5    .35    -      28
      gpt-5.1                 2.5    .25    -      20
      gpt-5                   2.5    .25    -      20
      gpt-5-mini              .45    .045   -      3.6
      gpt-5.3-codex           3.5    .35    -      28
      gpt-4.1                 3.5    .875   -      14
      gpt-4.1-mini            .7     .175   -      2.8
      gpt-4.1-nano            .2     .05    -      .8
      gpt-4o                  4.25   2.125  -      17
      gpt-4o-2024-05-13       8.75   -      -      26.25
      gpt-4o-mini             .25    .125   -      1
      o3                      3.5    .875   -      14
      o4-mini                 2      .5     -      8`,
  },
  {
    tier: 'standard',
    ...EARLY_SEPTEMBER,
    rows: `
      chat-latest             5      .5     -      30
      gpt-5.3-codex           1.75   .175   -      14
      gpt-5-search-api        1.25   .125   -      10
      text-embedding-3-small  .02    -      -      0
      text-embedding-3-large  .13    -      -      0
      text-embedding-ada-002  .1     -      -      0
      omni-moderation-latest  0      -      -      0`,
  },
  {
    tier: 'batch',
    source: 'derived: half of standard ("50% cost discount", guide "Batch API"); moderation is free',
    retrieved: '2026-09-26',
    rows: `
      text-embedding-3-large  .065   -      -      0
      text-embedding-ada-002  .05    -      -      0
      omni-moderation-latest  0      -      -      0`,
  },
  {
    tier: 'batch',
    // Captured from a live batch: not halved.
    source: "OpenRouter engineering note of 2026-09-02, live capture of OpenAI's Batch API",
    retrieved: '2026-09-02',
    rows: 'text-embedding-3-small    .02    -      -      0',
  },
  // Flex of the models that came after the page was read: half of standard, offered by their model pages.
  {
    tier: 'flex',
    source: 'https://developers.openai.com/api/docs/models/gpt-6-luna',
    retrieved: '2026-10-05',
    rows: 'gpt-6-luna  .05  .005  .0625  .25  .1  .01  .125  .375  from 2026-09-22',
  },
  {
    tier: 'standard',
    source: 'third parties quoting the model page (docs.litellm.ai/blog/gpt-6-1-terra and price lists)',
    retrieved: '2026-10-27',
    rows: 'gpt-6.1-terra  1  .05  1.25  5  2  .1  2.5  7.5  from 2026-10-26',
  },
  ...(['batch', 'flex'] as const).map((tier) => ({
    tier,
    source:
      'third parties quoting the model page (docs.litellm.ai/blog/gpt-6-1-terra and price lists); cache writes derived: half of standard',
    retrieved: '2026-10-27',
    rows: 'gpt-6.1-terra  .5  .025  .625  2.5  1  .05  1.25  3.75  from 2026-10-26',
  })),
  {
    tier: 'standard',
    source: 'third parties quoting the model page; cache writes derived: 1.25 times the input',
    retrieved: '2026-11-29',
    rows: 'gpt-6.1-sol  2  .1  2.5  10  4  .2  5  15  from 2026-09-29',
  },
  ...(['batch', 'flex'] as const).map((tier) => ({
    tier,
    source: 'third parties quoting the model page; derived: half of standard',
    retrieved: '2026-11-29',
    rows: 'gpt-6.1-sol  1  .05  1.25  5  2  .1  2.5  7.5  from 2026-09-29',
  })),
  // Flex is not offered on gpt-6.2 and later (guide "Flex processing", read on 2026-11-29).
  {
    tier: 'standard',
    source: "vendor's model page",
    retrieved: '2026-11-29',
    rows: 'gpt-6.2-sol  2  .1  2.5  10  4  .2  5  15  from 2026-11-17',
  },
  {
    tier: 'batch',
    source: "vendor's model page: half of standard",
    retrieved: '2026-11-29',
    rows: 'gpt-6.2-sol  1  .05  1.25  5  2  .1  2.5  7.5  from 2026-11-17',
  },
  {
    tier: 'priority',
    source: "vendor's model page: twice standard",
    retrieved: '2026-11-29',
    rows: 'gpt-6.2-sol  4  .2  5  20  8  .4  10  30  from 2026-11-17',
  },
  {
    tier: 'standard',
    source:
      "vendor's models overview for input and output; cached rate by a third party quoting the model page; cache writes and long context derived: 1.25 times the input, twice the input and 1.5 times the output",
    retrieved: '2026-11-29',
    rows: 'gpt-6.2-astra  8  .4  10  40  16  .8  20  60  from 2026-11-17',
  },
  {
    tier: 'batch',
    source: 'derived: half of standard',
    retrieved: '2026-11-29',
    rows: 'gpt-6.2-astra  4  .2  5  20  8  .4  10  30  from 2026-11-17',
  },
  {
    tier: 'standard',
    source: "vendor's model page",
    retrieved: '2026-11-29',
    // It answers with images only: what an answer does not say to be images is billed as one.
    rows: 'gpt-image-2.6-sunburst  5  1.25  -  30  image  8  2  30',
  },
  {
    tier: 'batch',
    source: 'derived: half of standard; whether the model may be batched is not established',
    retrieved: '2026-11-29',
    rows: 'gpt-image-2.6-sunburst  2.5  .625  -  15  image  4  1  15',
  },
  // A fine-tuned model without a row of its base here, or of its own in a price file, has no price.
  {
    tier: 'standard',
    source: 'third party: fine-tuned rows of LiteLLM, model_prices_and_context_window.json',
    retrieved: '2026-11-30',
    rows: `
      ft:gpt-4.1              3      .75    -      12                               to 2027-01-14
      ft:gpt-4.1-mini         .8     .2     -      3.2                              to 2027-01-14
      ft:gpt-4o               3.75   1.875  -      15                               to 2027-01-14
      ft:gpt-4o-mini          .3     .15    -      1.2                              to 2027-01-14`,
  },
  {
    tier: 'batch',
    source: 'derived: half of standard, without a cached rate as their base models',
    retrieved: '2026-11-30',
    rows: `
      ft:gpt-4.1              1.5    -      -      6                                to 2027-01-14
      ft:gpt-4.1-mini         .4     -      -      1.6                              to 2027-01-14
      ft:gpt-4o               1.875  -      -      7.5                              to 2027-01-14
      ft:gpt-4o-mini          .15    -      -      .6                               to 2027-01-14`,
  },
  {
    tier: 'standard',
    source: 'https://developers.openai.com/api/docs/models/o3-deep-research and o4-mini-deep-research',
    retrieved: '2026-09-01',
    rows: `
      o3-deep-research        10     2.5    -      40
      o4-mini-deep-research   2      .5     -      8`,
  },
  {
    tier: 'batch',
    source: PAGE,
    retrieved: '2026-05-04',
    rows: `
      o3-deep-research        5      -      -      20
      o4-mini-deep-research   1      -      -      4`,
  },
  // Announced "at least through November 21, 2026". Whether the promotion continues is not known: the dearer list price
  // is assumed, so that no budget is overrun.
  ...(
    [
      ['standard', '5      .5     6.25   30     10    1     12.5  45'],
      ['batch', '2.5    .25    3.125  15     5     .5    6.25  22.5'],
      ['flex', '2.5    .25    3.125  15     5     .5    6.25  22.5'],
      ['priority', '10     1      12.5   60     20    2     25    90'],
    ] as const
  ).map(([tier, figures]) => ({
    tier,
    source: `${PAGE} (list price before the promotion; twice and half of it by rule)`,
    retrieved: '2026-09-26',
    rows: `gpt-5.6-sol ${figures} from 2026-11-22`,
  })),
];

/**
 * What the guide "Background mode" says of the discounted completion windows. Whether the discount covers cached tokens is
 * not established; all rates of the row are taken to be discounted, as in batch and flex.
 */
const WINDOW = {
  of: 'standard',
  source:
    'derived: guide "Background mode", discounted completion windows; whether the discount covers cached tokens is not established',
  retrieved: '2026-11-29',
} as const;

/** OpenAI's prices. */
export const OPENAI_PRICES: PriceTable = {
  date: '2026-11-30',
  rows: () => PRICE_BLOCKS.flatMap(readBlock),
  namesOf: pricedNamesOf,
  derived: {
    'background-8h': { ...WINDOW, percent: 60 },
    'background-2h': { ...WINDOW, percent: 70 },
  },
  // Page "Pricing": "<272K context length".
  shortContextTokens: 272_000,
  unlimitedOutput: [
    {
      models: /^(ft:)?(gpt-(5|6)|o\d)/,
      tokens: 25_000,
      source: 'guide "Reasoning models": leave room for 25,000 tokens of reasoning and output',
    },
    { models: /^/, tokens: 4_096, source: 'ours: answers of a few pages' },
  ],
  fees: CALL_FEES,
  residency: {
    percent: 10,
    // Models released on or after 2026-03-05, by the release dates of OpenAI's changelog; 5.4 was released on that day.
    models: /^(ft:)?gpt-(5\.[4-9]|[6-9]|image-2\.6)/,
    source: `${PAGE}: models released on or after 2026-03-05 at data-residency endpoints`,
    retrieved: '2026-09-26',
  },
};
