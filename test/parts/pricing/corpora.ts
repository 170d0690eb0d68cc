/** Texts of kinds that differ in how many bytes make a token, generated from a seed. */
import { Random } from '../../../bench/inputs/random.ts';
import { codeBlock, englishParagraph, foreignSentence } from '../../../bench/inputs/texts.ts';

const THAI =
  'การ ที่ เป็น และ ของ ใน มี ได้ ว่า ไม่ ให้ จะ กับ ความ คน นี้ ไป มา อยู่ แล้ว ต้อง ทำ จาก วัน ประเทศ ไทย รัฐบาล ลูกค้า บริการ ข้อมูล ระบบ คำถาม สรุป ภาษา วิเคราะห์ ปัญหา ผลิตภัณฑ์ สำคัญ กรุณา ขอบคุณ'.split(
    ' ',
  );
const HINDI =
  'और का की के है में से को नहीं यह वह लिए एक पर भी कि तो हम आप अपने समय जीवन सरकार ग्राहक सेवा जानकारी प्रणाली प्रश्न सारांश भाषा विश्लेषण समस्या उत्पाद महत्वपूर्ण कृपया धन्यवाद बाजार विकास प्रौद्योगिकी'.split(
    ' ',
  );

const words = (random: Random, list: readonly string[], separator: string): string =>
  Array.from({ length: random.between(8, 30) }, () => random.pickSkewed(list)).join(separator);

/** What one piece of text is made of, by kind. */
export const CORPORA: Record<string, (random: Random) => string> = {
  english: englishParagraph,
  code: codeBlock,
  chinese: (random) => foreignSentence(random, 'zh'),
  japanese: (random) => foreignSentence(random, 'ja'),
  thai: (random) => words(random, THAI, ''),
  hindi: (random) => `${words(random, HINDI, ' ')}।`,
  numbers: (random) => Array.from({ length: 20 }, () => random.next()).join(','),
};

/** Body texts of this kind, from a sentence to some pages long. */
export function textsOf(kind: string, count: number, seed: string): string[] {
  const random = new Random(`${kind}/${seed}`);
  return Array.from({ length: count }, () =>
    Array.from({ length: random.between(1, random.chance(0.1) ? 120 : 12) }, () =>
      CORPORA[kind]!(random),
    ).join(' '),
  );
}
