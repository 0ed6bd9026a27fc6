/*
 * The strokes of each character (the notation is in font.h). Accented letters
 * of Latin-1 are made of a letter and an accent.
 */
#include "answer/font.h"

static const char *const ascii[95] = {
    "",                                        /* space: its width is in font.c */
    "040c 0i0i",                               /* ! */
    "0408 4448",                               /* " */
    "341i 846i 0898 0e9e",                     /* # */
    "96~8454~0407~0a5b~acaf~ai5i~1i0f 535j",   /* $ */
    "24~0406~0828~4846~4424 a40i 8e~6e6g~6i8i~aiag~ae8e", /* % */
    "ai27~2444~7477~793b~0c0f~0i4i~8iac",      /* & */
    "0408",                                    /* ' */
    "33~060b~0h3k",                            /* ( */
    "03~363b~3h0k",                            /* ) */
    "444a 1579 7519",                          /* * */
    "484g 0c8c",                               /* + */
    "1h0l",                                    /* , */
    "0c5c",                                    /* - */
    "0i0i",                                    /* . */
    "630k",                                    /* / */
    "44~040b~0i4i~8i8b~8444",                  /* 0 */
    "07444i",                                  /* 1 */
    "08~0444~8488~8b0i8i",                     /* 2 */
    "06~1444~8487~8a4a2a 4a~8a8e~8i4i~1i0g",   /* 3 */
    "6i640e9e",                                /* 4 */
    "84140a~2949~898e~8i4i~1i0g",              /* 5 */
    "76~6444~040c~0i4i~8i8e~8a4a~0a0e",        /* 6 */
    "04843i",                                  /* 7 */
    "44~0407~0a4a~8a8e~8i4i~0i0e~0a4a~8a87~8444", /* 8 */
    "1g~2i4i~8i8a~8444~0408~0c4c~8c88",        /* 9 */
    "0a0a 0i0i",                               /* : */
    "1a1a 1h0l",                               /* ; */
    "780d7i",                                  /* < */
    "0a8a 0f8f",                               /* = */
    "087d0i",                                  /* > */
    "07~0444~8487~8a4b4d 4i4i",                /* ? */
    "69~393c~3f6f~8f8c~8969 898d~8faf~cfcb~c464~040c~0k6k~8k9j", /* @ */
    "0i54ai 2d8d",                             /* A */
    "0454~9497~9a5a0a 5a~aaae~ai5i0i04",       /* B */
    "97~8454~040b~0i5i~8i9f",                  /* C */
    "0444~a4ab~ai4i0i04",                      /* D */
    "94040i9i 0b7b",                           /* E */
    "94040i 0b7b",                             /* F */
    "a7~9454~040b~0i5i~aiac6c",                /* G */
    "040i a4ai 0bab",                          /* H */
    "0444 242i 0i4i",                          /* I */
    "646e~6i3i~0i0f",                          /* J */
    "040i 940c 399i",                          /* K */
    "040i8i",                                  /* L */
    "0i046cc4ci",                              /* M */
    "0i04aia4",                                /* N */
    "54~040b~0i5i~aiab~a454",                  /* O */
    "0i0454~9498~9c5c0c",                      /* P */
    "54~040b~0i5i~aiab~a454 6eaj",             /* Q */
    "0i0454~9498~9c5c0c 4c9i",                 /* R */
    "96~8454~0407~0a5b~acaf~ai5i~1i0f",        /* S */
    "04a4 545i",                               /* T */
    "040d~0i5i~aiada4",                        /* U */
    "045ia4",                                  /* V */
    "043i689ic4",                              /* W */
    "04ai a40i",                               /* X */
    "045ba4 5b5i",                             /* Y */
    "04a40iai",                                /* Z */
    "33030k3k",                                /* [ */
    "036k",                                    /* \ */
    "03333k0k",                                /* ] */
    "0a448a",                                  /* ^ */
    "0k8k",                                    /* _ */
    "1336",                                    /* ` */
    "19~2848~888b8i 8c4c~0c0f~0i3i~7i8f",      /* a */
    "040i 0d~0848~888d~8i4i~0i0d",             /* b */
    "8a~7848~080d~0i4i~7i8g",                  /* c */
    "848i 8d~8848~080d~0i4i~8i8d",             /* d */
    "0d8d~8848~080d~0i4i~7i8g",                /* e */
    "54~24272i 0858",                          /* f */
    "888i~8m4m~1m0k 8d~8848~080d~0i4i~8i8d",   /* g */
    "040i 0c~0848~888c8i",                     /* h */
    "080i 0404",                               /* i */
    "383j~3m0m 3434",                          /* j */
    "040i 780e 3b8i",                          /* k */
    "040f~0i3i",                               /* l */
    "080i 0b~0838~686b6i 6b~6898~c8cbci",      /* m */
    "080i 0c~0848~888c8i",                     /* n */
    "48~080d~0i4i~8i8d~8848",                  /* o */
    "080m 0d~0848~888d~8i4i~0i0d",             /* p */
    "888m 8d~8848~080d~0i4i~8i8d",             /* q */
    "080i 0c~0858",                            /* r */
    "7a~6848~080a~0c4d~8e8g~8i4i~1i0g",        /* s */
    "252f~2i5i 0858",                          /* t */
    "080e~0i4i~8i8e 888i",                     /* u */
    "084i88",                                  /* v */
    "083i6a9ic8",                              /* w */
    "088i 880i",                               /* x */
    "084i 882n",                               /* y */
    "08880i8i",                                /* z */
    "43~232628~2b0b~2b2e2h~2k4k",              /* { */
    "030k",                                    /* | */
    "03~232628~2b4b~2b2e2h~2k0k",              /* } */
    "0d~1a4c~7e8b",                            /* ~ */
};

#define GRAVE      "3255"
#define ACUTE      "5235"
#define CIRCUMFLEX "154275"
#define TILDE      "05~2244~6683"
#define DIAERESIS  "2424 6464"
#define RING       "41~2123~2545~6563~6141"
#define CEDILLA    "4i4j~6j6k~6m3m"

enum { OVER_CAPITAL = 4 };

/* A character of Latin-1: strokes of its own, or a letter of ASCII; and an accent. */
typedef struct latin_glyph {
    const char *strokes;
    char letter;
    const char *accent;
} latin_glyph;

#define OWN(strokes)           {strokes, 0, NULL}
#define LETTER(letter, accent) {NULL, letter, accent}
#define DOTLESS(accent)        {"080i", 0, accent}

static const latin_glyph latin[96] = {
    OWN(""),                                                  /* no-break space */
    OWN("0808 0c0m"),                                         /* inverted ! */
    OWN("8a~7848~080d~0i4i~7i8g 454l"),                       /* cent */
    OWN("86~7454~24282e~2i0i8i 0b6b"),                        /* pound */
    OWN("48~181b~1e4e~7e7b~7848 0718 8778 0f1e 8f7e"),        /* currency */
    OWN("045ba4 5b5i 2c8c 2f8f"),                             /* yen */
    OWN("0309 0e0k"),                                         /* broken bar */
    OWN("65~5333~1315~184a~7c7e~7g5g 0i~1k3k~6k6i~6f3d~0b09~0727"), /* section */
    OWN("0404 4444"),                                         /* diaeresis */
    OWN("74~040b~0i7i~eieb~e474 99~8878~484b~4e7e~8e9d"),     /* copyright */
    OWN("15~2434~54565a 5737~0708~0a2a~4a58 0d5d"),           /* feminine ordinal */
    OWN("490d4h 995d9h"),                                     /* << */
    OWN("0c8c8g"),                                            /* not */
    OWN("0c5c"),                                              /* soft hyphen */
    OWN("74~040b~0i7i~eieb~e474 5f5787~a7a9~ab8b5b 8baf"),    /* registered */
    OWN("0464"),                                              /* macron */
    OWN("24~0406~0828~4846~4424"),                            /* degree */
    OWN("464e 0a8a 0i8i"),                                    /* plus-minus */
    OWN("06~0424~4446~470a4a"),                               /* superscript 2 */
    OWN("05~0424~4445~4727 27~4748~4a2a~0a09"),               /* superscript 3 */
    OWN("0633"),                                              /* acute */
    OWN("080m 0e~0i4i~8i8e 888i"),                            /* micro */
    OWN("646k 949k a454~0408~0c5c6c"),                        /* paragraph */
    OWN("0b0b"),                                              /* middle dot */
    OWN("1i1j~3j3k~3m0m"),                                    /* cedilla */
    OWN("06242a"),                                            /* superscript 1 */
    OWN("24~0407~0a2a~4a47~4424 0d4d"),                       /* masculine ordinal */
    OWN("094d0h 599d5h"),                                     /* >> */
    OWN("06242a b41i bibc8gcg"),                              /* 1/4 */
    OWN("06242a b41i 8e~8cac~ccce~cf8ici"),                   /* 1/2 */
    OWN("05~0424~4445~4727 27~4748~4a2a~0a09 b41i bibc8gcg"), /* 3/4 */
    OWN("4848 4d4f~0g0j~0m4m~8m8j"),                          /* inverted ? */
    LETTER('A', GRAVE), LETTER('A', ACUTE), LETTER('A', CIRCUMFLEX), LETTER('A', TILDE), LETTER('A', DIAERESIS), LETTER('A', RING),
    OWN("0i64d4 747idi 7bcb 2d7d"),                           /* AE */
    LETTER('C', CEDILLA),
    LETTER('E', GRAVE), LETTER('E', ACUTE), LETTER('E', CIRCUMFLEX), LETTER('E', DIAERESIS),
    LETTER('I', GRAVE), LETTER('I', ACUTE), LETTER('I', CIRCUMFLEX), LETTER('I', DIAERESIS),
    OWN("2464~c4cb~ci6i2i24 0b6b"),                           /* Eth */
    LETTER('N', TILDE),
    LETTER('O', GRAVE), LETTER('O', ACUTE), LETTER('O', CIRCUMFLEX), LETTER('O', TILDE), LETTER('O', DIAERESIS),
    OWN("098h 890h"),                                         /* multiply */
    OWN("54~040b~0i5i~aiab~a454 0ia4"),                       /* O with stroke */
    LETTER('U', GRAVE), LETTER('U', ACUTE), LETTER('U', CIRCUMFLEX), LETTER('U', DIAERESIS),
    LETTER('Y', ACUTE),
    OWN("040i 0757~979b~9f5f0f"),                             /* Thorn */
    OWN("0i08~0444~7477~7a4a~8a8e~8i3i"),                     /* sharp s */
    LETTER('a', GRAVE), LETTER('a', ACUTE), LETTER('a', CIRCUMFLEX), LETTER('a', TILDE), LETTER('a', DIAERESIS), LETTER('a', RING),
    OWN("09~1838~686d 6dcd~c898~686d~6i9i~bicg 6d3d~0d0f~0i3i~6i6d"), /* ae */
    LETTER('c', CEDILLA),
    LETTER('e', GRAVE), LETTER('e', ACUTE), LETTER('e', CIRCUMFLEX), LETTER('e', DIAERESIS),
    DOTLESS(GRAVE), DOTLESS(ACUTE), DOTLESS(CIRCUMFLEX), DOTLESS(DIAERESIS),
    OWN("49~090d~0i4i~8i8d~8949 24~848d 1764"),               /* eth */
    LETTER('n', TILDE),
    LETTER('o', GRAVE), LETTER('o', ACUTE), LETTER('o', CIRCUMFLEX), LETTER('o', TILDE), LETTER('o', DIAERESIS),
    OWN("0c8c 4848 4g4g"),                                    /* divide */
    OWN("48~080d~0i4i~8i8d~8848 0j87"),                       /* o with stroke */
    LETTER('u', GRAVE), LETTER('u', ACUTE), LETTER('u', CIRCUMFLEX), LETTER('u', DIAERESIS),
    LETTER('y', ACUTE),
    OWN("040m 0d~0848~888d~8i4i~0i0d"),                       /* thorn */
    LETTER('y', DIAERESIS),
};

/* Typographic characters that have a plain form. */
static uint32_t plain(uint32_t code)
{
    switch (code) {
    case 0x2010: case 0x2011: case 0x2012: case 0x2013: case 0x2014: case 0x2212:
        return '-';
    case 0x2018: case 0x2019:
        return '\'';
    case 0x201c: case 0x201d:
        return '"';
    case '\t': case '\n': case '\r': case 0x2002: case 0x2003: case 0x2009: case 0x202f:
        return ' ';
    default:
        return code;
    }
}

pl_glyph pl_glyph_of(uint32_t code)
{
    code = plain(code);
    if (code >= ' ' && code <= '~')
        return (pl_glyph){.base = ascii[code - ' ']};
    if (code >= 0xa0 && code <= 0xff) {
        const latin_glyph *const l = &latin[code - 0xa0];
        return (pl_glyph){
            .base = l->strokes ? l->strokes : ascii[l->letter - ' '],
            .accent = l->accent,
            /* the cedilla of C hangs below */
            .raise = l->letter >= 'A' && l->letter <= 'Z' && l->letter != 'C' ? OVER_CAPITAL : 0,
        };
    }
    if (code == 0x2026) /* three dots */
        return (pl_glyph){.base = "0i0i 4i4i 8i8i"};
    return (pl_glyph){.base = "040i8i8404 3b5b"};
}
