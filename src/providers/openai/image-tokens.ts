/**
 * What an image costs in input tokens, by the rules of OpenAI's guide "Images and vision", section "Calculating
 * costs": models of the tile kind bill squares of 512 pixels, those of the patch kind patches of 32 pixels, up to a
 * most of them. For models that the guide's rules do not name there is no figure, only a bound.
 */
import type { ImagePart, ImageTokens } from '../../core/model/prompt.ts';
import { baseModelOf } from './models.ts';

interface TileRule {
  kind: 'tiles';
  base: number;
  tile: number;
}
interface PatchRule {
  kind: 'patches';
  multiplier: number;
}

/** Source: guide "Images and vision", tables of base and tile tokens and of multipliers. */
const RULES: readonly [model: RegExp, rule: TileRule | PatchRule][] = [
  [/^gpt-4o-mini$/, { kind: 'tiles', base: 2_833, tile: 5_667 }],
  [/^(gpt-4o|gpt-4\.1|gpt-4\.5|gpt-4\.5-preview|gpt-4-turbo)$/, { kind: 'tiles', base: 85, tile: 170 }],
  [/^(o1|o1-pro|o3|o3-pro)$/, { kind: 'tiles', base: 75, tile: 150 }],
  [/^(gpt-5|gpt-5-chat-latest)$/, { kind: 'tiles', base: 70, tile: 140 }],
  [/^(gpt-4\.1-mini|gpt-5-mini)$/, { kind: 'patches', multiplier: 1.62 }],
  [/^(gpt-4\.1-nano|gpt-5-nano)$/, { kind: 'patches', multiplier: 2.46 }],
  [/^o4-mini$/, { kind: 'patches', multiplier: 1.72 }],
];

const TILE_PIXELS = 512;
const LONG_SIDE_PIXELS = 2_048;
const SHORT_SIDE_PIXELS = 768;
/** The largest image of the tile kind: 2,048 by 768 pixels. */
const MAX_TILES = 8;
const PATCH_PIXELS = 32;
const MAX_PATCHES = 1_536;
/**
 * Of models without a rule. The bound is what the newest models take at `detail: "original"`, 10,000 patches, by the
 * largest multiplier of any model; the guess is an image of as many patches as most models take.
 */
const UNRULED = { tokens: 1_536, atMost: 24_600, isExact: false };

export function imageTokens(model: string, { detail, size }: ImagePart): ImageTokens {
  const name = baseModelOf(model);
  const rule = RULES.find(([models]) => models.test(name))?.[1];
  if (rule === undefined) return UNRULED;
  const tokens = rule.kind === 'tiles' ? tileTokens(rule, detail, size) : patchTokens(rule.multiplier, size);
  // Where nothing says how large the image is, it may be as large as any.
  return {
    tokens,
    atMost: tokens,
    isExact: size !== undefined || (rule.kind === 'tiles' && detail === 'low'),
  };
}

function tileTokens({ base, tile }: TileRule, detail: string | undefined, size: ImagePart['size']): number {
  if (detail === 'low') return base;
  if (size === undefined) return base + MAX_TILES * tile;
  let { width, height } = size;
  const fit = Math.min(1, LONG_SIDE_PIXELS / Math.max(width, height));
  [width, height] = [width * fit, height * fit];
  const shrink = Math.min(1, SHORT_SIDE_PIXELS / Math.min(width, height));
  const tiles = (side: number): number => Math.max(1, Math.ceil(round(side * shrink) / TILE_PIXELS));
  return base + tile * tiles(width) * tiles(height);
}

function patchTokens(multiplier: number, size: ImagePart['size']): number {
  return Math.ceil(round(patchesOf(size) * multiplier));
}

/** Larger images are shrunk until they have at most 1,536 patches, and one side is a whole number of them. */
function patchesOf(size: ImagePart['size']): number {
  if (size === undefined) return MAX_PATCHES;
  const { width, height } = size;
  const patches = Math.ceil(width / PATCH_PIXELS) * Math.ceil(height / PATCH_PIXELS);
  if (patches <= MAX_PATCHES) return patches;
  const shrink = Math.sqrt((MAX_PATCHES * PATCH_PIXELS ** 2) / (width * height));
  const [across, down] = [(width * shrink) / PATCH_PIXELS, (height * shrink) / PATCH_PIXELS];
  const whole = Math.min(Math.floor(across) / across, Math.floor(down) / down) || 1;
  return Math.min(MAX_PATCHES, Math.ceil(round(across * whole)) * Math.ceil(round(down * whole)));
}

/** Takes off what floating point adds, so that 768.0000000001 pixels are 768. */
function round(value: number): number {
  return Math.round(value * 1e6) / 1e6;
}
