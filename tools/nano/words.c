/* words.c - the lexicon: everyday English words of three to five letters, the only words that scenes show. */
#include "scenes.h"

static const char *const words[] = {
    "ANT",   "APE",   "ARM",   "ART",   "BAG",   "BALL",  "BAND",  "BANK",  "BARN",  "BASE",  "BAT",   "BEACH",
    "BEAN",  "BEAR",  "BED",   "BEE",   "BELL",  "BELT",  "BIKE",  "BIRD",  "BOAT",  "BOLD",  "BONE",  "BOOK",
    "BOOT",  "BOWL",  "BOX",   "BOY",   "BRAIN", "BREAD", "BRICK", "BRUSH", "BUG",   "BUS",   "BUSH",  "CAFE",
    "CAGE",  "CAKE",  "CALM",  "CAMP",  "CAN",   "CANDY", "CAP",   "CAR",   "CARD",  "CAT",   "CAVE",  "CHAIR",
    "CHALK", "CHEF",  "CHESS", "CITY",  "CLAY",  "CLOCK", "CLOUD", "COAL",  "COAST", "COAT",  "COIN",  "COLD",
    "CORN",  "COW",   "CRAB",  "CROW",  "CROWN", "CUP",   "CURVE", "DANCE", "DAY",   "DEER",  "DESK",  "DISH",
    "DOG",   "DOOR",  "DOT",   "DRAW",  "DREAM", "DRESS", "DRUM",  "DRY",   "DUCK",  "DUNE",  "DUST",  "EAGLE",
    "EAR",   "EARTH", "EAST",  "EGG",   "ELBOW", "ENJOY", "EXIT",  "EYE",   "FACE",  "FAN",   "FARM",  "FAST",
    "FIELD", "FIG",   "FILM",  "FIRE",  "FISH",  "FLAG",  "FLAME", "FLOOR", "FLUTE", "FLY",   "FOAM",  "FOG",
    "FOOD",  "FOOT",  "FORK",  "FOX",   "FROG",  "FRUIT", "GAME",  "GATE",  "GIFT",  "GLASS", "GLOVE", "GOAT",
    "GOLD",  "GRAPE", "GRASS", "GULF",  "HAIR",  "HALL",  "HAND",  "HARP",  "HAT",   "HAWK",  "HEART", "HEN",
    "HILL",  "HIVE",  "HOME",  "HONEY", "HOOK",  "HORN",  "HORSE", "HOTEL", "HOUSE", "ICE",   "INK",   "IRON",
    "ISLE",  "IVY",   "JACK",  "JAM",   "JAR",   "JAZZ",  "JET",   "JEWEL", "JOB",   "JOY",   "JUDGE", "JUICE",
    "JUMP",  "KEY",   "KING",  "KITE",  "KIWI",  "KNEE",  "KNIFE", "KNOT",  "LAB",   "LACE",  "LADY",  "LAKE",
    "LAMB",  "LAMP",  "LAND",  "LEAF",  "LEMON", "LIGHT", "LILY",  "LIME",  "LION",  "LOCK",  "LOG",   "LOVE",
    "LUNCH", "MAIL",  "MAP",   "MASK",  "MAZE",  "MEAL",  "MELON", "METAL", "MILK",  "MILL",  "MINT",  "MIX",
    "MONEY", "MOON",  "MOTH",  "MOUSE", "MOUTH", "MUD",   "MUG",   "MUSIC", "NAIL",  "NECK",  "NEST",  "NET",
    "NIGHT", "NORTH", "NOSE",  "NOTE",  "NUT",   "OAK",   "OCEAN", "OIL",   "OLIVE", "ONION", "OPEN",  "OVEN",
    "OWL",   "OXEN",  "PAGE",  "PAINT", "PALM",  "PAN",   "PANDA", "PAPER", "PARK",  "PATH",  "PEACH", "PEAR",
    "PEN",   "PET",   "PIANO", "PIE",   "PIG",   "PIN",   "PIPE",  "PIZZA", "PLANE", "PLANT", "PLATE", "PLUM",
    "POND",  "POOL",  "PORT",  "POT",   "PRIZE", "PUMP",  "QUEEN", "QUICK", "QUIET", "QUILT", "QUIZ",  "QUOTE",
    "RADIO", "RAIN",  "RAVEN", "RICE",  "RING",  "RIVER", "ROAD",  "ROBOT", "ROCK",  "ROOF",  "ROOT",  "ROPE",
    "ROSE",  "RUBY",  "RUG",   "RULER", "SAIL",  "SALAD", "SALT",  "SAND",  "SEA",   "SEAL",  "SEED",  "SHARK",
    "SHEEP", "SHELL", "SHIP",  "SHIRT", "SHOE",  "SHOP",  "SIGN",  "SILK",  "SINK",  "SKY",   "SLOW",  "SMOKE",
    "SNAIL", "SNAKE", "SNOW",  "SOAP",  "SOCK",  "SOFA",  "SONG",  "SOUP",  "SOUTH", "SPOON", "STAR",  "STEAM",
    "STONE", "STOP",  "STORM", "SUGAR", "SUN",   "SWAN",  "SWIM",  "TABLE", "TAPE",  "TAXI",  "TEA",   "TENT",
    "TIGER", "TIME",  "TOAD",  "TOAST", "TOE",   "TOOL",  "TOOTH", "TOWER", "TOWN",  "TOY",   "TRAIN", "TREE",
    "TRUCK", "TUBE",  "TULIP", "TUNA",  "URBAN", "VALVE", "VAN",   "VASE",  "VEST",  "VIDEO", "VINE",  "VOICE",
    "WALL",  "WATCH", "WATER", "WAVE",  "WAX",   "WEB",   "WEST",  "WHALE", "WHEAT", "WHEEL", "WIND",  "WING",
    "WOLF",  "WOOD",  "WOOL",  "WORM",  "YARD",  "YARN",  "YEAR",  "YOGA",  "ZEBRA", "ZERO",  "ZONE",  "ZOO",
};

int scene_lexicon_count(void)
{
    return (int)(sizeof words / sizeof words[0]);
}

const char *scene_lexicon_word(const int i)
{
    return words[i];
}
