/** Texts as people send them: prose, code and several languages. Nothing here is anybody's data. */
import type { Random } from './random.ts';

const ENGLISH =
  'the of and to a in is that it was for on are as with they be at this have from or had by not but what all were when we there can an your which their said if do will each about how up out them then she many some so these would other into has more her two like him see time could no make than first been its who now people my made over did down only way find use may water long little very after words called just where most know get through back much before go good new write our used me man too any day same right look think also around another came come work three must because does part even place well such here take why things help put years different away again off went old number great tell men say small every found still between name should home big give air line set own under read last never us left end along while might next sound below saw something thought both few those always looked show large often together asked house world going want school important until form food keep children feet land side without boy once animals life enough took sometimes four head above kind began almost live page got earth need far hand high year mother light parts country father let night following picture being study second eyes soon times story boys since white days ever paper hard near sentence better best across during today others however sure means knew try told young miles sun ways thing whole hear example heard several change answer room sea against top turned learn point city play toward five using himself usually money seen car morning interesting customer account invoice shipment delivery quarter revenue contract agreement liability clause retrieval embedding latency throughput replica partition consistency transaction scheduler hypothesis regression classifier benchmark protein catalyst equilibrium precipitation longitudinal'.split(
    ' ',
  );

const NAMES =
  'count total index result value items user order batch record line offset length buffer config state queue event request response token model price score label path key entry node parent child left right first last'.split(
    ' ',
  );

/** Words of languages that are written with spaces. */
const WORDS: Record<'ru' | 'ko' | 'fr' | 'de' | 'es', readonly string[]> = {
  ru: 'и в не на что он как это все она так его но они мы был для человек время жизнь вопрос рука работа слово место лицо друг дело страна мир случай голова ребёнок сила конец система часть город отношение женщина деньги'.split(
    ' ',
  ),
  ko: '그리고 하지만 우리는 사람이 시간을 오늘은 문제를 생각하고 결과가 시스템의 요청을 처리하고 서비스에서 고객의 데이터를 분석하여 가장 중요한 내용을 다음과 같이 요약해 주세요 파일에 있는 문장은 새로운 방법으로 번역됩니다 매우 빠르게 정확하게'.split(
    ' ',
  ),
  fr: 'le la les de des et à un une est que qui dans pour pas sur au avec son être même été où déjà très après système réponse problème données élève français général société économie qualité modèle requête façon château garçon'.split(
    ' ',
  ),
  de: 'der die das und ist nicht ein eine mit auf für von dem sich auch über können müssen würde größer schön Straße Prüfung Übersetzung Änderung Schlüssel Lösung Anfrage Ergebnis Geschäft natürlich während zurück wäre Möglichkeit'.split(
    ' ',
  ),
  es: 'el la los de y que en un una es por con para no más está también así había después información canción español año niño mañana corazón rápido última país según compañía solución código gestión análisis difícil'.split(
    ' ',
  ),
};

/** Phrases of languages that are written without spaces. */
const PHRASES: Record<'zh' | 'ja', readonly string[]> = {
  zh: '我们需要 这个问题 在过去的 人工智能 数据分析 请总结 以下内容 客户反馈 非常重要 系统性能 已经完成 下一步 如果可能 根据报告 市场变化 用户体验 提高效率 翻译成英文 主要原因 技术发展 同时处理 大量请求 结果表明 因此 但是 例如 目前'.split(
    ' ',
  ),
  ja: '私たちは この問題を 過去の 人工知能 データ分析 次の文章を 要約してください お客様の声 とても重要です システムの性能 すでに完了しました もし可能なら 報告によると 市場の変化 効率を上げる 英語に翻訳して 主な原因は 技術の発展 同時に処理する 結果として しかし 例えば 現在 です。 ました。 について ありがとうございます'.split(
    ' ',
  ),
};

const EMOJI = ['😀', '🚀', '👍🏽', '🎉', '❤️', '🤖', '🇩🇪', '🔥', '👩‍💻', '✅'];

/** The languages of {@link foreignSentence}. */
export const LANGUAGES = ['zh', 'ja', 'ru', 'ko', 'fr', 'de', 'es'] as const;
export type Language = (typeof LANGUAGES)[number];

/** One English sentence of 6 to 22 words; some hold a quotation, straight or typographic. */
export function englishSentence(random: Random): string {
  const words: string[] = [];
  const count = random.between(6, 22);
  const isTypographic = random.chance(0.4);
  const quoteAt = random.chance(0.08) ? random.below(count) : -1;
  for (let index = 0; index < count; index++) {
    let word = random.pickSkewed(ENGLISH);
    if (index === 0) word = word[0]!.toUpperCase() + word.slice(1);
    if (index === quoteAt) word = isTypographic ? `\u201c${word}\u201d` : `"${word}"`;
    if (index < count - 1 && random.chance(0.07)) word += ',';
    if (isTypographic && random.chance(0.03)) word += random.pick(['\u2019s', ' \u2014', '\u2026']);
    words.push(word);
  }
  return `${words.join(' ')}${random.chance(0.1) ? '?' : '.'}`;
}

/** A paragraph of 2 to 6 English sentences. */
export function englishParagraph(random: Random): string {
  return sentences(random.between(2, 6), () => englishSentence(random));
}

/** A function of 5 to 14 lines in Python or TypeScript, as in a question about code. */
export function codeBlock(random: Random): string {
  const isPython = random.chance(0.6);
  const name = (): string => `${random.pick(NAMES)}_${random.pick(NAMES)}`;
  const lines = isPython
    ? [`def ${name()}(${random.pick(NAMES)}, ${random.pick(NAMES)}=${random.below(100)}):`]
    : [`export function ${name()}(${random.pick(NAMES)}: string): number {`];
  const indent = isPython ? '    ' : '  ';
  for (let index = random.between(3, 12); index > 0; index--) {
    const [left, right] = [name(), name()];
    lines.push(
      indent +
        random.pick([
          `${left} = ${right} + ${random.below(1_000)}`,
          `if ${left} > ${right}:`,
          `${indent}print(f"${left}: {${right}}")`,
          `return ${left}["${random.pick(NAMES)}"]`,
          `# ${random.pickSkewed(ENGLISH)} ${random.pickSkewed(ENGLISH)} ${random.pickSkewed(ENGLISH)}`,
          `for ${random.pick(NAMES)} in range(len(${left})):`,
          `${left}.append(${right}(${random.pick(NAMES)}, ${random.pick(NAMES)}))`,
        ]),
    );
  }
  if (!isPython) lines.push('}');
  return lines.join('\n');
}

/** One sentence in the language; one in eight ends with an emoji. */
export function foreignSentence(random: Random, language: Language): string {
  let sentence: string;
  if (language === 'zh' || language === 'ja') {
    const phrases = Array.from({ length: random.between(3, 9) }, () => random.pick(PHRASES[language]));
    sentence = `${phrases.join(random.chance(0.5) ? '，' : '')}。`;
  } else {
    const words = Array.from({ length: random.between(5, 18) }, () => random.pickSkewed(WORDS[language]));
    sentence = `${words.join(' ')}.`;
  }
  return random.chance(0.125) ? `${sentence} ${random.pick(EMOJI)}` : sentence;
}

/** A name such as `order_total`. */
export function identifier(random: Random): string {
  return `${random.pick(NAMES)}_${random.pick(NAMES)}`;
}

function sentences(count: number, sentence: () => string): string {
  return Array.from({ length: count }, sentence).join(' ');
}
