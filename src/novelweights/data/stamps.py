"""A hundred photographs of things cut out of their surroundings, from a package of Debian.

Chosen by eye from the stamps of Tux Paint: photographs, not drawings, that can be told apart at 32
pixels, though some are close (two penguins, many hoofed animals). The package as a
whole is under the GPL, version 2 or later, hence fetched and never part of this project.
"""

from pathlib import Path

from novelweights.data.packages import APT, PackageSource

STAMPS = PackageSource(
    client=APT,
    package="tuxpaint-stamps-default",  # 2022.06.04 in Debian 12
    folder="usr/share/tuxpaint/stamps",
    sha256={
        "animals/amphibians/frog.png": (
            "3136e0e0fc9bf3148e066ed925c847a2048436d4cc77e56e7205a874210e95df"
        ),
        "animals/birds/adelaide-rosella.png": (
            "5f74fbdc0b6764438b599fbcdecf69f25d4762265d609c40db312d2a93f67a2e"
        ),
        "animals/birds/blackbird.png": (
            "84734f2c1bc3f6f747a44e076919eb542115ebc9f53ec9720cdef17ae09efe6c"
        ),
        "animals/birds/duck.png": (
            "7770d71308241fe7f0a4f99fc2aabe8ac16e4cfff6e37d13e61fab459c8aed33"
        ),
        "animals/birds/gander.png": (
            "8401b1e2443527c4b187fd901e4b3ee62795f3e1fb8640cd571d8cec02b188cf"
        ),
        "animals/birds/helmeted_guineafowl.png": (
            "a99a5c8762be390c4813583c159430f401159fa82185c75fd08a62caf1c0458d"
        ),
        "animals/birds/hen.png": (
            "c0bf14dd4ee7dfdab6408991e1fa02c3097472f6ddcd46849111db623827881c"
        ),
        "animals/birds/lark.png": (
            "819d7bbadd3d64b564d669c759f47dd797a4d7a59d1a4f71c00a7ec85b755d5f"
        ),
        "animals/birds/magellanic_penguin.png": (
            "ed4a1246d2282478d81bfa6a8bc7644b3660de6dd8ee7afce1b94c06fcf0dcf5"
        ),
        "animals/birds/magpie.png": (
            "0940db581fff1eff00aa3a83d8520a7794a3233b4f5d81e71b42e9ce04b2c8ff"
        ),
        "animals/birds/ostrich.png": (
            "3c3ae1f1b5a29c91f28d810734a24c2f342a25c20615a46f78b281c723df757f"
        ),
        "animals/birds/owl.png": (
            "5fd2280da7f3ae317cc9ac7f568f406d581cf858f5295e3581a8845be250a383"
        ),
        "animals/birds/pelican.png": (
            "13f209688b1abd8e91358da28adc62f693604c80760c2763a6baec874e5eb2ac"
        ),
        "animals/birds/penguin.png": (
            "5d0106c55f54cd7f7ceb5b997725b49ac9f3c3fd6934cf009a73cc6fa172f00b"
        ),
        "animals/birds/pigeon.png": (
            "acf99a925c3b64ef5403611cedcf411436c6785084fa5b875af7407fd89b858f"
        ),
        "animals/birds/pink_flamingo.png": (
            "76f05c493f655efeaa386521bea913cd41bc9a65318a4ff973a3c4ef1b656643"
        ),
        "animals/birds/rainbow-lorikeet.png": (
            "a0134b0a9bb2aa00988b596968e0dddd11559bc57b2a0474b5c883b846ccc74f"
        ),
        "animals/birds/rooster.png": (
            "f8e0caa20436484d76512417cb6c1b1a8d3f631da26350de4f3666526790fbe6"
        ),
        "animals/birds/tucan.png": (
            "4db72d83ee7b01ce8d72ffd582c96be468261d9b2eed1173eca0647ed1d196b9"
        ),
        "animals/birds/turkey.png": (
            "b6e74356f85a205a2f16ab43a2994696faf983d0c7124a892096377042546dbe"
        ),
        "animals/birds/vulture.png": (
            "5a829eccfac975dc071327b399732ed1fdf2b4adec035098047670ccf533f27b"
        ),
        "animals/fish/bluegroper.png": (
            "6b587875e0fd860096889ab8576023ba5f60690e1db27dda225b78d633105f08"
        ),
        "animals/fish/butterflyfish.png": (
            "52d47a016d2c6765a0f2ce14bbfe735e1d3ea7bbed67bd8e9e45158388779d46"
        ),
        "animals/fish/clownfish.png": (
            "5bbb65660e9f10fca48c3fedb48dbfa99c75b7cb636ccd004fb2ce4d9da2542a"
        ),
        "animals/fish/dolphinfish.png": (
            "0682e0a77562fa4b4736d92e0c0b2d4be64baf1abe82bdb40a6cc7a589354a9b"
        ),
        "animals/fish/lionfish.png": (
            "7630d60c1edfebb245d3025b2e8063ec11c2a21b4fc2950ea9acaf560335ad64"
        ),
        "animals/fish/seahorse.png": (
            "0871e1071949f18a6390205ee10eeba3ef84685ff7c968fa6e3b42c4575f3a38"
        ),
        "animals/insects/Brown_slug.png": (
            "e06936e61c58a4588b7d83fdbf31e493f0561c337e052b9f3165ae3d5d2ec85e"
        ),
        "animals/insects/Woodlouse.png": (
            "fcb1e419dd9afc40650c60e0eb9922282cee439a37b0f4b29bd5f352d280b88f"
        ),
        "animals/insects/grasshopper.png": (
            "1ecd462ad14f32a5de859613d6a9d9c706261eb6fd1fe80af0ce2a77ec1a8558"
        ),
        "animals/insects/hoverfly.png": (
            "0e91c5ec67cdb900ef36142a0571c698aa555db127457dc6724f4d21b53c4a82"
        ),
        "animals/insects/xanthia.png": (
            "b60f2d0ec2d66d676dc523c526634c6acd02f627b95d0490c2563e6bea95ba4d"
        ),
        "animals/mammals/apes/chimp.png": (
            "1103c68ddc42cd3b36c7c96020e844a7c1d4fc7dba8132b408263c3038b8f72f"
        ),
        "animals/mammals/apes/gorilla.png": (
            "a9b45cb2f0acae32161d3ab45505219c6083a18e9412e5439cdd104fcbb53a85"
        ),
        "animals/mammals/aquatic/dolphin.png": (
            "14de4f99361cf957db01085d73a7b0bab34e1b8c25acff9c7eb9b2d730c7a8e0"
        ),
        "animals/mammals/aquatic/orca.png": (
            "5b1d5b9f2d2250cb6b5405dbfc843538f3f89f56ff535f8d37f6a9937d4fd4f1"
        ),
        "animals/mammals/aquatic/otter.png": (
            "875ec74ddc9cf664ad988ddfa1972739260b2c59bf4963d06b3b337f31594307"
        ),
        "animals/mammals/badger.png": (
            "de31acc03128709bd23fc76075c4c945478b259b2b63e15e2b890101d644be2a"
        ),
        "animals/mammals/bears/bear.png": (
            "aba4c267dac9003ba033fb0e6e7f09ed43b10e38ec625e5c2d6b67196e182c7f"
        ),
        "animals/mammals/bovines/bison.png": (
            "4316b377b8131e896b62c9e5ff7e0edd49e9d7b4d3acaff7243119f9f66fe65f"
        ),
        "animals/mammals/bovines/cow.png": (
            "741dccf90e341f2c69f0c9c60489f9ce9191f9c078b04b43233a8a77411491c4"
        ),
        "animals/mammals/bovines/cow_white.png": (
            "0b189be2bb21dc9cccf842bf4cbee78f014fa60d07a5c78a20e54e2b664acdba"
        ),
        "animals/mammals/bovines/goat.png": (
            "48bbfd85e3e2cfdc7eb473abdd968cf879e76ae39eed4407cea4c527203d759d"
        ),
        "animals/mammals/bovines/ram.png": (
            "619f393899b04dc4d29d2d48af83d145caae89a95b357508ff67a065da67179a"
        ),
        "animals/mammals/camel/camel.png": (
            "910c74c113d617741e549c84ddfc73b69df69b8e7f647bc98815e33f0db7a5df"
        ),
        "animals/mammals/camel/dromedary.png": (
            "f7455abfa012318bf61702e01815d61bb0a3eb4bfea25b91a8f78437ee157c24"
        ),
        "animals/mammals/cats/lion-2.png": (
            "f608afc9531257d9322d80a609094abe5827351973cdc08e0fecd1cd2cb76788"
        ),
        "animals/mammals/cats/tiger.png": (
            "699baad06e31c6274fc7bb576953dc0f66a6677a8286daefbdf454cf7b7395d6"
        ),
        "animals/mammals/deer/doe.png": (
            "c1d34426120c243c2357959e4307a3f1b395a049fa3fac285fe66c9298727612"
        ),
        "animals/mammals/deer/wapiti.png": (
            "8ba175a8d56141e67ec6cebfc69404d0cfcdfa94f79635f6e2547c5ba22cffb1"
        ),
        "animals/mammals/dogs/dingo.png": (
            "665de674b6adc0b89437cfa4e6635fcce180e4725367592383848d1f3e345484"
        ),
        "animals/mammals/dogs/dog.png": (
            "63b3906f5b3cfcb406d8cf99ea0252a84d2d2b60795b5e275c0b4f2b9985b71a"
        ),
        "animals/mammals/dogs/fox.png": (
            "d754bb3b88fc6e27c454e8880c62ba8fb84b3db7d37948209ca8b445be7d6cea"
        ),
        "animals/mammals/elephant.png": (
            "c58332e1f4ef1f476ffb0e8a2df86f0b55c589496b3699de26cfeabd231a8a70"
        ),
        "animals/mammals/equines/donkey.png": (
            "e32ef9dfdf287af6b1a3120a2a18fc319a6763537d650085ae595c329208d10a"
        ),
        "animals/mammals/equines/horse.png": (
            "1c14aee30e0af4984fcfed4ec9b13769b4e16bb0eb49f95ccef65126b424c6fd"
        ),
        "animals/mammals/equines/zebra.png": (
            "f4a1329606b3d77b7064c8c42d3e247f522f1a48f852ef787a963ecf819f0a8c"
        ),
        "animals/mammals/giraffe.png": (
            "59c918fefc4aa2e2e8218f4b6c341485b88fb582a6880135d215d706e80f8595"
        ),
        "animals/mammals/hippopotamus.png": (
            "3ed404f03c93de77bf1728faa208cc54681beef84f51ebda7689b916d51b3b94"
        ),
        "animals/mammals/pig.png": (
            "41b6caefca7cb65f3c5ab5afdf77dc31b880031ecf1a422035cf7160ffb8b3da"
        ),
        "animals/mammals/rabbit_little.png": (
            "8c0e6c852e4a62bc7a80834edf9003323853d7d5a67981e7c8fb179afe93cf39"
        ),
        "animals/mammals/rhino_black.png": (
            "ebcb7df282100fcdd37658f422897c4437e38a073a0b63bfea6de829ea555fa2"
        ),
        "animals/mammals/rodents/squirrel.png": (
            "ac942f3b777493bb97cfd7e08cd5809bd31863ae73bd1fb681fa0e8e01f13fe7"
        ),
        "animals/mammals/wildboar.png": (
            "74f3338d0acf2aa127a77bd475a14fa109d8be5b77586db0e9dc142621e387a2"
        ),
        "animals/marsupials/kangaroo.png": (
            "eae6784ba555c357e1330901e00450723f1a180966a5e4e9fd1a3344804d01bf"
        ),
        "animals/marsupials/koala.png": (
            "1ca01ed025cfcaf47e8529b72b8390f8e9e7d5d23b2b3c1b3fdec8873c7ec0be"
        ),
        "food/fruit/Cherry_Stella.png": (
            "603c39549dbc875c8d1d7b919c56c923851dd8f162fd0deffa56899d989d85b6"
        ),
        "food/fruit/Strawberry2.png": (
            "c5e7fe18d8419d048e44d3aba3f188fe5774b569ccb6c08230cccf70bbb872f6"
        ),
        "food/fruit/apple_red.png": (
            "405c66c1de7ad6f5141eb646b39933f410a51042877df141efec8b577b6f2e03"
        ),
        "food/fruit/apricot.png": (
            "4518aa248cdfc1d0b2a5ad5ebc1725bc90d6864fa70c3837e2bbaca6c1ce0759"
        ),
        "food/fruit/avocado.png": (
            "48d843da4f57747de56b3b4535f3e5cbe9a312fb3642d3edfb2d82db6e15bbe5"
        ),
        "food/fruit/cherimoya.png": (
            "64a3a817dd56f240ce42b4d2d31679828bbf4f020e57cbe0f8dc00967e3f5b8b"
        ),
        "food/fruit/grapes.png": (
            "ccc8ab7a8ee64276138ceb0416c1602d5c2fea0158bcdae7125a0fbe023de457"
        ),
        "food/fruit/lemon.png": (
            "f28692fef7f3512f4bb04907eb3e4917d05925d9093656fb2554a7dcd1474ce4"
        ),
        "food/fruit/mandarine.png": (
            "70237c94e03b9a87b4f315d4d26310714f4c12ba08881cbe5f24ff7c6f3d01f1"
        ),
        "food/fruit/pineapple.png": (
            "a75f52ca43cc72da23fbae92b4f3f267c7985833ed3a86cd88b37f904ed50474"
        ),
        "food/fruit/sliced_orange.png": (
            "db1b42531719e0c56c41f127d558ff36071e4639fa57378806903d57f852f0e3"
        ),
        "food/nuts/walnut.png": (
            "ee572ab9fc91694a1ade9db5e7424627e1da8a3d54fd5b0d09e84fe3266c0c77"
        ),
        "food/vegetables/broccoli.png": (
            "327bd677cabfdd1fafa03006dbb2a31c2f39c2d764e0ef6eef6664268849b278"
        ),
        "food/vegetables/corn.png": (
            "f25c61bc57e96d81db51c62f0138158cb717f3ec4e679ab03b541cffbdf8c4d8"
        ),
        "food/vegetables/onion.png": (
            "597e8ad6d26fb359e590aaf7e674cb2d492aeb501c6363bc55646405ca4f8ae5"
        ),
        "food/vegetables/yam.png": (
            "afb4f1ed0d94e0f07c4b0f9b36e5019bc55ed5577f6036027eb335371051eea8"
        ),
        "food/vegetables/yellowpepper.png": (
            "0b2857a8cf470832db12c1ae6a0af937d1cee0f8c7bc25bc7f206449cd4074f2"
        ),
        "plants/flowers/anemone_red.png": (
            "7315652309667904a8547dba62417a578b6eecdcb1fa11fa3c2acfc61d4e2b6b"
        ),
        "plants/flowers/daffodil.png": (
            "2de7b146a10234f058a94a4f6a2bc423e5c803da8a76a1e7e7a20654ac7b659a"
        ),
        "plants/flowers/iris.png": (
            "576537ba5ee132cf3c822894910cfb682782c661044238b447dfeb4103de2d1a"
        ),
        "plants/flowers/marigold.png": (
            "1a555caab466da27c6cac7c5d1aed7bdb07b9af9e6ff07ae77ec0f4b25255a1b"
        ),
        "plants/flowers/pigface.png": (
            "3f636884dc88efb72214256c47c9799401737d02edfbe5f30ea94b5c25af9832"
        ),
        "plants/flowers/rose.png": (
            "d925d37a83038604713bf43bc4a1eba944fc8a88c1821a58fc74f67c38f181b6"
        ),
        "plants/mushrooms/cep-1.png": (
            "313c1da48ae424303a84c5c9db29dd07afbd0eb648338c6c21bff692fb02ca32"
        ),
        "plants/trees/pinecone.png": (
            "b186e440eb3523e3639b83150d0632a7a1e6be1173857c9759ef69fa12e64b34"
        ),
        "plants/trees/rambutan.png": (
            "4c1dd1c2d7da85c884ee1f308c80ebc15f4290c106186a3c1fef7ec076c9c221"
        ),
        "vehicles/auto/beetle.png": (
            "0fb58566f5a173a3d4df34bcc6c2c6b731133e71fb1345177584e43d02e72d91"
        ),
        "vehicles/auto/truck.png": (
            "43bb2936c9bc1d5e298e779d7a243b8d6bbe360a1911982daf1b3716bb81a67e"
        ),
        "vehicles/construction/dumper.png": (
            "5d7093f55747a4f09634b944840df4063771b115078c4f28f209146a4bc71922"
        ),
        "vehicles/cycle/pink_tricycle.png": (
            "aaec5606798aee233ca8ab71080a1b7acdec35e37bdd5add33a1c0684d92706d"
        ),
        "vehicles/emergency/firetruck.png": (
            "e2049145f4829b7f30342c6d0143524014894bab8928ea1b6daa27f3f1b610c0"
        ),
        "vehicles/flight/balloon360.png": (
            "4107fd22835366e593d32e35e574a7ff919b316704791dc78df7851594a451db"
        ),
        "vehicles/masstransit/green_korean_bus.png": (
            "245ebec90875d111ac2e9097a3970700de9beff747d0b497f0dfceaec490033f"
        ),
        "vehicles/ship/chineseJunk.png": (
            "33a0260816e3f327b83f00d841f017d4a0e55b431a9560cfc75d5e0609bac331"
        ),
    },
    max_bytes=400_000_000,
    installed=Path("/usr/share/tuxpaint/stamps"),
)
"""PNG files with transparency; their order is that of the classes."""
